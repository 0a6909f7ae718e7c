"""The guard's rules: a line of the log in, a decision out.

What may not enter: weights and files; `training.hooks.guard` carries decisions out.
"""
