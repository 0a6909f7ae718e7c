"""What people and machines read of a run: the log, lines, pages, figures, cards.

Not allowed here: decisions. A page says what a record holds.
"""
