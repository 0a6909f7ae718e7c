"""Answers read and compared: text first, exact numbers, then computer algebra.

What may not enter: processes and limits, which are in `verify.workers`.
"""
