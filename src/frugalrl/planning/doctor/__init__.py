"""The doctor: what would keep a recipe from learning anything, found before the run, each with its cause and its fix.

`examine.py` runs the checks; each other file holds those of one subject; `finding.py` is what they return.
"""
