"""The measurements of `benchmarks/gpu.py`, one subject a file: each yields rows, and prints nothing."""
