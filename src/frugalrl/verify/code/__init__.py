"""Programs against their tests, in a sandbox.

Not allowed here: mathematics.
"""
