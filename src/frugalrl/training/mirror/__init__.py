"""A copy of a run's folder elsewhere, made as the run goes on, and taken up from on another machine.

Not allowed here: the loop, and anything that could stop it.
"""
