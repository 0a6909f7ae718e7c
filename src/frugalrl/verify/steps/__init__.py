"""The steps that a solution states, checked exactly.

Not allowed here: whether the final answer is right.
"""
