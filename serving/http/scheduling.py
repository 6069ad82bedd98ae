"""Who may run now, who waits, and who is turned away: a bounded queue in front of the worker threads."""

from collections.abc import Awaitable, Callable
from math import ceil
from time import perf_counter
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, create_task_group, to_thread
from starlette.requests import ClientDisconnect

from serving.core.errors import OverloadedException

T = TypeVar("T")

_LONGEST_ADVICE = 60  # seconds


class Admission:
    """Runs work in threads, `concurrency` at a time, while `queue_size` more wait their turn."""

    def __init__(self, concurrency: int, queue_size: int) -> None:
        self._threads = CapacityLimiter(concurrency)
        self._places = concurrency + queue_size
        self._admitted = 0
        self._typical_seconds = 1.0

    @property
    def running(self) -> int:
        """How many are running."""
        return self._threads.borrowed_tokens

    @property
    def waiting(self) -> int:
        """How many are waiting for their turn."""
        return self._admitted - self.running

    def check(self) -> None:
        """Raise OverloadedException where no place is free, so that no body is read in vain."""
        if self._admitted >= self._places:
            seconds = self._typical_seconds * self._admitted / self._threads.total_tokens
            raise OverloadedException(
                f"{self.running} predictions are running and {self.waiting} are waiting, "
                "which is all this server holds: try again later.",
                retry_after=min(max(1, ceil(seconds)), _LONGEST_ADVICE),
            )

    async def run(self, work: Callable[[], T], gone: Callable[[], Awaitable[None]]) -> T:
        """Wait for a turn, do the work in a thread, and return its result or raise its error.

        Args:
            work: what to do, off the event loop. Where it calls `anyio.from_thread.check_cancelled`, it ends when the
                client has hung up; elsewhere it is seen through.
            gone: returns when the client has hung up; one that does so while waiting gives its place back.

        Raises:
            OverloadedException: all places are taken.
            ClientDisconnect: the client has hung up.
        """
        self.check()
        self._admitted += 1
        outcome: list[T | Exception] = []

        def timed() -> T:
            start = perf_counter()
            result = work()
            self._typical_seconds += 0.2 * (perf_counter() - start - self._typical_seconds)
            return result

        async def hang_up(scope: CancelScope) -> None:
            await gone()
            scope.cancel()

        try:
            async with create_task_group() as group:
                group.start_soon(hang_up, group.cancel_scope)
                try:
                    outcome.append(await to_thread.run_sync(timed, limiter=self._threads))
                except Exception as error:  # carried out of the task group, which would wrap it
                    outcome.append(error)
                group.cancel_scope.cancel()
        finally:
            self._admitted -= 1
        if not outcome:
            raise ClientDisconnect
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]
