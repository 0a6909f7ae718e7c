"""GRPO's arithmetic: advantages, losses, aggregation, log-probs. Tensors in, tensors out.

Not allowed here: recipes, models, files, and anything that knows where a tensor came from.
"""
