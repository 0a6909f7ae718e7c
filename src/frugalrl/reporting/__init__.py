"""What people and machines read of a run: the log, lines, pages, figures, cards.

What may not enter: decisions. A page says what a record holds.
"""
