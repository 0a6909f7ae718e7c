"""k samples of each problem, judged, saved and read back; benchmarks; the ledger of looks.

Not allowed here: statistics, which are in `statistics`, training, rewards, and what is right, which each task says.
"""
