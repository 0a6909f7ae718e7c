"""What a recipe amounts to before it is run.

Not allowed here: anything that loads a model.
"""
