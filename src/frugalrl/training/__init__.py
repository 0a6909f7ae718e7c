"""Training runs: the loop and its parts.

What may not enter: anything that is useful without a run, such as losses or statistics.
"""
