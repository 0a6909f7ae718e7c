"""What can be verified: problems, prompt and checker under one name, a file each.

What may not enter: training, and how answers are compared, which `verify` says.
"""
