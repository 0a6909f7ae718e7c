"""Answers read and compared: text first, exact numbers, then computer algebra.

Not allowed here: processes and limits, which are in `verify.workers`.
"""
