"""Is it right? Usable on its own, without training.

Not allowed here: rewards, recipes, torch.
"""
