"""Problems as rows and texts: sources, prompts, the sampler, duplicates, overlap.

Not allowed here: rewards, tasks, and whether an answer is right.
"""
