"""What can be verified: problems, prompt and checker under one name, one file a task, and the one way to judge.

May use data and verify; nothing of rewards, rollouts, training or evaluation enters.
"""
