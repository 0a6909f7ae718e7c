"""Fine-tune small reasoning models with GRPO and verifiable rewards, on a small budget."""

__version__ = "0.1.0"
