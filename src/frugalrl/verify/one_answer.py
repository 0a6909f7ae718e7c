"""One answer against a gold, in one line and without torch: `frugalrl.verify`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from frugalrl.errors import DataError

if TYPE_CHECKING:
    from frugalrl.types import Verdict


def verify(
    answer: str,
    gold: str | Sequence[str],
    *,
    question: str | None = None,
    reasoning_open: bool = False,
    without_box: Literal["stated", "refuse"] = "stated",
    several_boxes: Literal["last", "first", "refuse"] = "last",
) -> "Verdict":
    r"""Whether an answer is equivalent to a gold one: ``verify("0.5", r"\frac{1}{2}").label`` is ``"correct"``.

    answer: a bare answer, or a whole completion, of which the final answer counts.
    gold: the accepted answer, or several of which any will do.
    question: the problem; says whether a percentage is asked for.
    reasoning_open: whether the prompt had opened ``<think>`` already.
    without_box: an answer outside ``\boxed{}`` is read where it is stated, or refused as training does.

    Runs in worker processes under a time limit, without torch. A gold that cannot be read is ``unknown``.
    """
    from frugalrl.verify.answers import AnswerItem, AnswerPolicy, policy_pool

    for name, value in (("answer", answer), ("gold", gold)):
        texts = [value] if isinstance(value, str) or not isinstance(value, Sequence) else list(value)
        if not texts or not all(isinstance(text, str) for text in texts):
            raise DataError(f"The {name} is {value!r}. Give text, for example verify('0.5', '1/2').")
    golds = gold if isinstance(gold, str) else tuple(gold)
    pool = policy_pool(AnswerPolicy(several_boxes=several_boxes, without_box=without_box))
    return pool.judge(AnswerItem(answer, golds, reasoning_open, question))
