"""From raw pools to a training set: steps, solvers, the ledger of every decision.

Not allowed here: rules on texts, which are pure modules of `data`, and training.
"""
