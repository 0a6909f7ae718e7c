"""Moving a run's weights: to the engines, to the reference, back from a checkpoint or the base."""

from frugalrl.errors import ModelError, OutputError
from frugalrl.rollout.engine import SharedModel
from frugalrl.training.model.adapter import AdapterPolicy
from frugalrl.training.model.policy import load_policy, weights_hash
from frugalrl.training.model.reference import copy_weights
from frugalrl.training.run import Run
from frugalrl.training.state.checkpoint import load_weights
from frugalrl.training.state.manifest import damage

BASE_STEP = 0
"""The step of the base model, which has no checkpoint."""


def publish_weights(run: Run, policy_version: int) -> None:
    """Make both engines sample from the current policy."""
    run.engine.load_weights(SharedModel(run.policy.model), policy_version)
    if run.evaluation_engine is not run.engine:
        run.evaluation_engine.load_weights(SharedModel(run.policy.model), policy_version)


def reset_reference(run: Run) -> None:
    """Make the current policy the reference, if there is one, and reset the optimizer's state (ProRL, 2505.24864)."""
    run.optimizer.reset_state()
    if run.reference is not None:
        copy_weights(run.policy, run.reference)


def load_base_weights(run: Run) -> None:
    """Load the weights of the model the run started from into the policy. Raises ModelError."""
    if isinstance(run.policy, AdapterPolicy):  # whose base never changed
        run.policy.load_adapters(run.policy.initial)
        return
    base = load_policy(run.recipe.model)
    if weights_hash(base) != run.base_weights:
        raise ModelError(
            f"The model {run.recipe.model.path!r}, which this run returns to, has other weights than when it began. "
            "Put it back and resume with --resume."
        )
    copy_weights(base, run.policy)


def load_step_weights(run: Run, step: int) -> None:
    """Load the weights after a step, or the base's, into the policy.

    Raises OutputError if the checkpoint is missing or damaged, ModelError if the base cannot be loaded.
    """
    if step == BASE_STEP:
        load_base_weights(run)
        return
    checkpoint = run.checkpoint_folder(step)
    run.writer.settle()
    wrong = run.world.main(lambda: damage(checkpoint))
    if wrong is not None:
        raise OutputError(f"The checkpoint {checkpoint} cannot be used: {wrong}. Put it back and resume with --resume.")
    load_weights(run.policy, checkpoint)
