"""Sampling completions: the engine protocol, the engines, token sampling, collecting groups.

Not allowed here: rewards, and what is done with a completion.
"""
