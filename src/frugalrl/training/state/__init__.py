"""What a run leaves on the disk to resume from: folder, checkpoints, pointers.

What may not enter: the loop.
"""
