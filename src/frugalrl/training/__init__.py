"""Training runs: the loop and its parts.

Not allowed here: anything that is useful without a run, such as losses or statistics.
"""
