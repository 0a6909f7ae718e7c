"""Several servers that share the load: each thread takes the next request that is left, whatever server it speaks to.

A request that failed, or was aborted, goes back to the others. Threads are daemons and are not waited for after an
error: a server that hangs must not keep a run from ending.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from frugalrl.errors import ModelError
from frugalrl.rollout.server.client import ServerFault
from frugalrl.rollout.server.member import Member

T = TypeVar("T")
_MOST_ABORTS = 20
"""Of one request: something else then aborts whatever is asked."""


class Assignment(Generic[T]):
    """Requests that are to be answered by whichever servers are left."""

    def __init__(
        self,
        members: Sequence[Member],
        bodies: Sequence[dict[str, Any]],
        read: Callable[[Any], T | None],
        restore: Callable[[Member], None],
        on_answer: Callable[[int, T], None] = lambda index, answer: None,
    ) -> None:
        """read: the answer in a reply; None if it was aborted. restore: gives a server its weights back.

        on_answer: called with the number of a request and its answer, by the thread that got it."""
        self._members, self._bodies, self._read, self._restore = members, bodies, read, restore
        self._on_answer = on_answer
        self._left = deque(range(len(bodies)))
        self._answers: dict[int, T] = {}
        self._aborts: Counter[int] = Counter()
        self._error: BaseException | None = None
        self._is_over = threading.Event()

    def answers(self, threads: int) -> list[T]:
        """All answers, in the order of the requests. threads: in all. Raises ModelError if no server is left."""
        try:
            while len(self._answers) < len(self._bodies) and self._error is None:
                there = [member for member in self._members if not member.is_lost]
                if not there:
                    raise ModelError("No vLLM server is left; the warnings above say why. Start them, and resume.")
                self._work_with(there, min(threads, len(self._left)))
        finally:
            if self._error is not None or len(self._answers) < len(self._bodies):
                self._give_up()
        if self._error is not None:
            raise self._error
        return [self._answers[index] for index in range(len(self._bodies))]

    def _work_with(self, members: Sequence[Member], threads: int) -> None:
        workers = [
            threading.Thread(target=self._work, args=(members[number % len(members)],), daemon=True)
            for number in range(max(threads, len(members)))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _work(self, member: Member) -> None:
        try:
            while not member.is_lost and not self._is_over.is_set():
                with member.lock:  # nothing is asked of a server that is being brought back
                    epoch = member.epoch
                try:
                    index = self._left.popleft()
                except IndexError:
                    return
                self._ask(member, index, epoch)
        except BaseException as error:
            self._error = self._error or error
            self._is_over.set()

    def _ask(self, member: Member, index: int, epoch: int) -> None:
        try:
            answer = self._read(member.server.generate(self._bodies[index]))
        except ServerFault as fault:
            self._left.append(index)
            with member.lock:
                if member.epoch == epoch and not member.is_lost and not self._is_over.is_set():
                    member.bring_back(fault, self._restore)
            return
        if answer is not None:
            self._answers[index] = answer
            if not self._is_over.is_set():
                self._on_answer(index, answer)
            return
        self._aborts[index] += 1
        if self._aborts[index] > _MOST_ABORTS:
            raise ModelError(f"{member.name} aborts every request. Look for what else controls it, and start it again.")
        self._left.append(index)

    def _give_up(self) -> None:
        """Let requests under way end: nobody waits for them any more."""
        self._is_over.set()
        for member in self._members:
            if not member.is_lost:
                with suppress(ServerFault, ModelError):
                    member.server.control("/abort_requests", seconds=5.0)
