"""Rewards by name, and their weighted sum.

Not allowed here: whether an answer is right, which `verify` says.
"""
