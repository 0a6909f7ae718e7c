"""Options of the training loop, a file each, all with one signature (`hook.StepHook`).

What may not enter: anything that the plain algorithm needs; and no hook knows another.
"""
