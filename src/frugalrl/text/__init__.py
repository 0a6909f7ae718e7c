"""What a text looks like: language, repetition, prose, reasoning tags.

Not allowed here: whether it is right, and rewards.
"""
