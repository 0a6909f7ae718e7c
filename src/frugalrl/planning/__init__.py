"""The size of a run before it starts.

Not allowed here: anything that loads a model.
"""
