"""The policy, its reference and its optimizer.

Not allowed here: the loop, and files of a run.
"""
