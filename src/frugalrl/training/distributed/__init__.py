"""Several processes that share one run, as torchrun starts them: who does what, and how they agree.

Not allowed here: the algorithm. A run in one process goes through the same calls, which then do nothing.
"""
