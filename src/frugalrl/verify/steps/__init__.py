"""The steps that a solution states, checked exactly.

What may not enter: whether the final answer is right.
"""
