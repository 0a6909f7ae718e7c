"""From raw pools to a training set: steps, solvers, the ledger of every decision.

What may not enter: rules on texts, which are pure modules of `data`, and training.
"""
