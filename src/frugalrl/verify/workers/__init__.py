"""Processes in which computer algebra runs under limits.

What may not enter: how answers are compared.
"""
