"""What a run keeps on disk to resume from: folder, checkpoints, pointers.

Not allowed here: the loop.
"""
