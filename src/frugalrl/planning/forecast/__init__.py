"""The plan of a run: memory, time and money before anything but the model's configuration is loaded.

`plan.py` puts the parts together; `memory.py`, `clock.py` and `cards.py` are pure. docs/plan.md says how to read
it.
"""
