"""Options of the training loop, a file each, all with one signature (`hook.StepHook`).

Not allowed here: anything that the plain algorithm needs; no hook knows another.
"""
