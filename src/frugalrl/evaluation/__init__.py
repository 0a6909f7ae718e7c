"""Measuring a model: benchmarks, the one runner and its results files, comparisons, and a run's ledger of its looks.

No training and no rewards enter: what is right is said by each problem's task.
"""
