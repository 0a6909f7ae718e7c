"""What bounds a run: budget, clock, stop requests, signs that nothing can be learned.

Not allowed here: weights.
"""
