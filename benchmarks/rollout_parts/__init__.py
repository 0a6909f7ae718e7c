"""Parts of `benchmarks/rollouts.py`: what every side samples, and the worker that samples it."""
