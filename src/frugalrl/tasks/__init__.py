"""What can be verified: problems, prompt and checker under one name, one file each; and the one way to judge.

Not allowed here: training, rewards, and how answers are compared, which `verify` says.
"""
