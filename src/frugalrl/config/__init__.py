"""What a recipe may say, how it is read, and published presets.

What may not enter: anything that acts on a recipe.
"""
