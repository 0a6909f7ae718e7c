"""Intervals, paired tests, power, selection: numbers in, numbers out.

What may not enter: files, models, and what the numbers are about.
"""
