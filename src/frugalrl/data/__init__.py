"""Problems as rows and texts: sources, prompts, the sampler, duplicates, overlap.

What may not enter: rewards, tasks, and whether an answer is right.
"""
