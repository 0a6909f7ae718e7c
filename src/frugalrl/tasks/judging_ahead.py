"""Verdicts on completions while others are still sampled: what `judge_groups` gives, with less of a wait for it.

A verdict depends on a problem and the text of a completion alone, so it can be made as soon as the text is there. Texts
are handed over as they finish, by any thread. One thread takes them: answers go to the verifier's pool at once; other
texts wait until the thread calls their task's checker, with all that wait of one problem. A checker that does not say
that it may be called so (`Task.checks_beside_sampling`) is called at the end, as rewards are.

A verdict that was made ahead is used if its text is that of the completion that is asked about. Whatever lacks one is
judged when it is asked for: nothing depends on what was handed over, or when.
"""

import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

from frugalrl.tasks.judging import answer_item, checked, judge_groups_timed, with_tolerance
from frugalrl.tasks.registry import task_named
from frugalrl.types import Prompt, RolloutGroup, Verdict
from frugalrl.verify.answers import default_pool
from frugalrl.verify.workers.pool import Judgement, Pending, VerifierPool

_ONE_CHECKER = threading.Lock()
"""Held by a thread while it calls a checker: where a batch is judged while the next is sampled, there are two."""


class JudgingAhead:
    """Verdicts on the samples of some prompts. Cheap to make: its thread starts with the first text."""

    def __init__(self, prompts: Sequence[Prompt], pool: VerifierPool | None = None) -> None:
        """pool: of the verifier; None takes the one of this process."""
        self._prompts, self._pool = tuple(prompts), pool or default_pool()
        self._handed: queue.SimpleQueue[tuple[int, int, str] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_left = False
        # The rest belongs to the thread until it has ended. Samples by the numbers of their prompt and their own.
        self._waiting: dict[int, dict[int, str]] = {}
        """Texts for checkers, by prompt and sample."""
        self._checked: dict[tuple[int, int], tuple[str, Judgement]] = {}
        self._compared: dict[tuple[int, int], tuple[str, Pending]] = {}

    def add(self, group: int, sample: int, text: str) -> None:
        """Hand over the text of a sample, by the numbers of its prompt and its own. Returns at once; for any thread."""
        with self._lock:
            if self._is_left:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="judging-ahead", daemon=True)
                self._thread.start()
            self._handed.put((group, sample, text))

    def verdicts(self, groups: Sequence[RolloutGroup]) -> list[list[Verdict]]:
        """A verdict for each completion of each prompt's group, in order: waits for those that are under way.

        Raises what `judge_groups` raises.
        """
        try:
            self._handed.put(None)
            if self._thread is not None:
                self._thread.join()
            found = [
                [self._made(number, sample, one.text) for sample, one in enumerate(group.completions)]
                for number, group in enumerate(groups)
            ]
            lacking = [number for number, own in enumerate(found) if None in own]
            late = judge_groups_timed([_lacking(groups[number], found[number]) for number in lacking], self._pool)
            for number, judgements in zip(lacking, late, strict=True):
                left = iter(judgements)
                found[number] = [one or next(left) for one in found[number]]
            return [[one.verdict for one in own if one is not None] for own in found]
        finally:
            self.close()

    def close(self) -> None:
        """Leave what is not finished: workers begin no other answer, and the thread ends after the call it is at."""
        with self._lock:
            self._is_left = True
        self._handed.put(None)
        for _, pending in list(self._compared.values()):
            pending.cancel()

    def __enter__(self) -> "JudgingAhead":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        """The thread's life. After an error it ends: `verdicts` judges what is left, and there it is raised."""
        with suppress(Exception):
            is_open = True
            while not self._is_left and (is_open or self._waiting):
                if is_open and (not self._waiting or not self._handed.empty()):  # answers first: workers wait for them
                    handed = self._handed.get()
                    is_open = handed is not None
                    if handed is not None:
                        self._take(*handed)
                else:
                    self._check(next(iter(self._waiting)))

    def _take(self, group: int, sample: int, text: str) -> None:
        prompt, at = self._prompts[group], (group, sample)
        task = task_named(prompt.problem.check.task)
        known = self._compared.get(at) or self._checked.get(at)
        if known is not None and known[0] == text:
            return
        if task.check is None:
            if at in self._compared:  # another text: it was sampled again
                self._compared[at][1].cancel()
            pending = self._pool.begin(answer_item(text, prompt))
            self._compared[at] = (text, pending)
            if self._is_left:  # since the loop looked
                pending.cancel()
        elif task.checks_beside_sampling:
            self._waiting.setdefault(group, {})[sample] = text

    def _check(self, group: int) -> None:
        prompt, texts = self._prompts[group], self._waiting.pop(group)
        check = task_named(prompt.problem.check.task).check
        assert check is not None, "answers are compared by the pool"
        with _ONE_CHECKER:
            judged = checked(check, list(texts.values()), prompt)
        for (sample, text), one in zip(texts.items(), judged, strict=True):
            self._checked[group, sample] = (text, one)

    def _made(self, group: int, sample: int, text: str) -> Judgement | None:
        """What was made ahead for a completion, if it was made for this text."""
        compared, found = self._compared.get((group, sample)), self._checked.get((group, sample))
        if compared is not None and compared[0] == text:
            return with_tolerance(compared[1].finish(), self._prompts[group].problem)
        return found[1] if found is not None and found[0] == text else None


def _lacking(group: RolloutGroup, found: Sequence[Judgement | None]) -> RolloutGroup:
    left = [completion for completion, one in zip(group.completions, found, strict=True) if one is None]
    return replace(group, completions=tuple(left))
