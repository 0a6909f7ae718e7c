"""Programs against their tests, in a sandbox.

What may not enter: mathematics.
"""
