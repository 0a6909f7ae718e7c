"""What a text looks like: language, repetition, prose, reasoning tags.

What may not enter: whether it is right, and rewards.
"""
