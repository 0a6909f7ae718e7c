"""Sampling completions: the engine protocol, the engines, drawing tokens, collecting groups.

What may not enter: rewards, and what is done with a completion.
"""
