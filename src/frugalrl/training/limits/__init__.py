"""What bounds a run: budget, clock, requests to stop, signs that nothing can be learned.

What may not enter: weights.
"""
