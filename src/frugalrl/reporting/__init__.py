"""The output of a run for people and machines: log, lines, pages, figures, cards.

Not allowed here: decisions. A page says what a record holds.
"""
