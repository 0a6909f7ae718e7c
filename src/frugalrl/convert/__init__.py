"""Recipes of other trainers: recognised, read into ours, and ours written for theirs.

What may not enter: files and the recipe's schema. Mappings in, mappings and a line for each key out.
"""
