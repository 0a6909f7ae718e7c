"""From raw pools to a training set: steps, solvers, the ledger of all decisions.

Not allowed here: rules on texts, which are pure modules of `data`, and training.
"""
