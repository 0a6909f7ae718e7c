"""The folder that a server gets on its PYTHONPATH: it holds the worker extension and nothing else."""
