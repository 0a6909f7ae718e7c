"""The errors a user can meet, in one family.

    FrugalRLError
    ├── UserError              the user can fix it: exit code 2, no traceback
    │   ├── RecipeError        an unknown key, a value out of range, settings that contradict each other
    │   ├── DataError          a file that is missing, empty or malformed; a row without gold
    │   ├── ModelError         a model that cannot be found or loaded, or that does not fit the job
    │   ├── RewardTimeoutError a reward function of the user's own that does not return
    │   │   └── BudgetEndedError   the budget ended first
    │   ├── BudgetSpentError   an evaluation that has cost what it may, or would cost more
    │   ├── OutputError        a folder that cannot be written, a run or checkpoint that does not fit
    │   ├── ProcessLostError   a run on several processes that has lost one of them
    │   └── ProcessFailedError a run on several processes, another of which failed with an error of its own
    └── InternalError          our fault: a traceback, exit code 1

Each message is one sentence of what happened and one of what to do.
"""


class FrugalRLError(Exception):
    """Root of every error this package raises on purpose."""


class UserError(FrugalRLError):
    """Something the user can fix. The command line prints it without a traceback and exits with 2."""


class RecipeError(UserError):
    """The recipe cannot be read, has an unknown key, or an invalid value."""


class DataError(UserError):
    """A data file or data set is missing, empty, malformed, or lacks what a row needs."""


class ModelError(UserError):
    """A model or tokenizer cannot be found or loaded, or does not fit the recipe."""


class RewardTimeoutError(UserError):
    """A user's reward function did not return within its time limit."""


class BudgetEndedError(RewardTimeoutError):
    """A user's reward function was running when the run's budget ended."""


class BudgetSpentError(UserError):
    """An evaluation has cost what it may cost, or would surely cost more."""


class OutputError(UserError):
    """Something cannot be written, or the existing files belong to another run."""


class ProcessLostError(UserError):
    """Another process of the run has ended, or does not answer any more."""


class ProcessFailedError(UserError):
    """Another process of the run raised an error that is not the user's to fix; it prints the traceback."""


class InternalError(FrugalRLError):
    """An internal invariant was broken: our bug, not the user's."""
