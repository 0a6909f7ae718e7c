"""The policy, its reference and its optimizer.

What may not enter: the loop, and files of a run.
"""
