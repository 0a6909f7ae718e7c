"""Rewards by name, and their weighted sum.

What may not enter: whether an answer is right, which `verify` says.
"""
