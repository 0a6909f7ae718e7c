"""Verdicts on completions while others are still sampled: what `judge_groups` gives, with less of a wait for it.

A verdict depends on a problem and the text of a completion alone, so it can be made as soon as the text is there. Texts
are handed over as they finish, by any thread. One thread takes them: answers go to the verifier's pool at once, and a
group whose last text is there goes to its task's checker, one group at a time. A checker that does not say that it may
be called there (`Task.checks_beside_sampling`) is called at the end, as rewards are.

A verdict that was made ahead is used if its text is that of the completion that is asked about. Whatever lacks one is
judged when it is asked for: nothing depends on what was handed over, or when.
"""

import queue
import threading
from collections import deque
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

    def __init__(self, prompts: Sequence[Prompt], samples: Sequence[int], pool: VerifierPool | None = None) -> None:
        """samples: how many there will be of each prompt. pool: of the verifier; None takes that of this process."""
        self._prompts, self._samples, self._pool = tuple(prompts), tuple(samples), pool or default_pool()
        self._handed: queue.SimpleQueue[tuple[int, int, str] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_left = False
        # The rest belongs to the thread until it has ended.
        self._texts: list[dict[int, str]] = [{} for _ in self._prompts]
        self._waiting: deque[int] = deque()
        """Groups that are complete, for a checker."""
        self._compared: dict[tuple[int, int], tuple[str, Pending]] = {}
        self._checked: dict[int, tuple[list[str], list[Judgement]]] = {}

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
            found = [self._made(number, group) for number, group in enumerate(groups)]
            lacking = [number for number, own in enumerate(found) if None in own]
            late = judge_groups_timed([_lacking(groups[number], found[number]) for number in lacking], self._pool)
            for number, judgements in zip(lacking, late, strict=True):
                left = iter(judgements)
                found[number] = [one or next(left) for one in found[number]]
            return [[one.verdict for one in own if one is not None] for own in found]
        finally:
            self.close()

    def close(self) -> None:
        """Leave what is not finished: workers begin no other answer, and the thread ends after the group it is at."""
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
                    self._check(self._waiting.popleft())

    def _take(self, group: int, sample: int, text: str) -> None:
        prompt = self._prompts[group]
        task = task_named(prompt.problem.check.task)
        if task.check is None:
            before = self._compared.get((group, sample))
            if before is None or before[0] != text:
                pending = self._pool.begin(answer_item(text, prompt))
                self._compared[group, sample] = (text, pending)
                if self._is_left:  # since the loop looked
                    pending.cancel()
        elif task.checks_beside_sampling:
            texts = self._texts[group]
            texts[sample] = text
            if len(texts) == self._samples[group] and group not in self._waiting:
                self._waiting.append(group)

    def _check(self, group: int) -> None:
        texts = [self._texts[group][sample] for sample in range(self._samples[group])]
        if group in self._checked and self._checked[group][0] == texts:
            return
        prompt = self._prompts[group]
        check = task_named(prompt.problem.check.task).check
        assert check is not None, "answers are compared by the pool"
        with _ONE_CHECKER:
            self._checked[group] = (texts, checked(check, texts, prompt))

    def _made(self, number: int, group: RolloutGroup) -> list[Judgement | None]:
        """What was made ahead for the completions of a group, by their texts."""
        texts, judgements = self._checked.get(number, ([], []))
        if texts and texts == [completion.text for completion in group.completions]:
            return list(judgements)
        return [
            with_tolerance(found[1].finish(), group.prompt.problem) if found and found[0] == completion.text else None
            for sample, completion in enumerate(group.completions)
            for found in [self._compared.get((number, sample))]
        ]


def _lacking(group: RolloutGroup, found: Sequence[Judgement | None]) -> RolloutGroup:
    left = [completion for completion, one in zip(group.completions, found, strict=True) if one is None]
    return replace(group, completions=tuple(left))
