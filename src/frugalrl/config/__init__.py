"""What a recipe may say, how it is read, and published presets.

Not allowed here: anything that acts on a recipe.
"""
