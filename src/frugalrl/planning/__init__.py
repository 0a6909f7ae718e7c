"""What a recipe amounts to before it is run.

What may not enter: anything that loads a model.
"""
