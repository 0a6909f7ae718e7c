"""Is it right? Usable on its own, without training.

What may not enter: rewards, recipes, torch.
"""
