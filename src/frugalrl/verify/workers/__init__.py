"""Processes in which computer algebra runs under limits.

Not allowed here: how answers are compared.
"""
