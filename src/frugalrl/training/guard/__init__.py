"""The guard's rules: a line of the log in, a decision out.

Not allowed here: weights and files; `training.hooks.guard` carries out the decisions.
"""
