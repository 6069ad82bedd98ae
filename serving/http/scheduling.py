"""Scheduling: a bounded queue in front of the worker threads."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import ceil, inf
from time import perf_counter
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, create_task_group, current_time, to_thread
from starlette.requests import ClientDisconnect

from serving.core.errors import DeadlineExceededError, OverloadedError

T = TypeVar("T")

_MAX_RETRY_AFTER = 60  # seconds


class Scheduler:
    """Runs work in threads, `concurrency` at a time, with a queue of at most `queue_size`."""

    def __init__(self, concurrency: int, queue_size: int, max_seconds: float = inf) -> None:
        """Create a scheduler.

        Args:
            concurrency: predictions that run at the same time.
            queue_size: predictions that may wait.
            max_seconds: how long a request may take, from its headers on: its body, its time in the queue, its work.
        """
        self._max_seconds = max_seconds
        self._threads = CapacityLimiter(concurrency)
        self._capacity = concurrency + queue_size
        self._admitted = 0
        self._typical_seconds = 1.0
        self._started: dict[object, float] = {}  # by prediction
        self._scopes: set[CancelScope] = set()
        self._is_stopping = False

    @property
    def running(self) -> int:
        """How many predictions are running."""
        return self._threads.borrowed_tokens

    @property
    def waiting(self) -> int:
        """How many predictions are waiting in the queue."""
        return self._admitted - self.running

    def check(self) -> None:
        """Raise OverloadedError if the queue is full."""
        if self._admitted >= self._capacity:
            raise OverloadedError(
                f"The queue is full: {self.running} predictions are running and {self.waiting} are waiting. "
                "Try again later.",
                retry_after=min(max(1, ceil(self._expected_seconds())), _MAX_RETRY_AFTER),
            )

    def _expected_seconds(self) -> float:
        """Return how long what runs and what waits will probably take."""
        now = perf_counter()
        elapsed = [now - start for start in list(self._started.values())]
        # What has taken longer than is typical is probably large: half done, for want of anything better.
        running = sum(max(self._typical_seconds - seconds, seconds) for seconds in elapsed)
        not_started = self._admitted - len(elapsed)
        return (running + not_started * self._typical_seconds) / self._threads.total_tokens

    def stop(self) -> None:
        """Cancel everything that runs and waits."""
        self._is_stopping = True
        for scope in self._scopes:
            scope.cancel()

    @asynccontextmanager
    async def place(self, seconds: float = inf) -> AsyncIterator["Place"]:
        """Take a place in the queue for the time of the `async with` block. Routes read the body inside it.

        Args:
            seconds: how long the block may take, if that is less than `max_seconds`.

        Raises:
            OverloadedError: the queue is full, or the server stops.
            DeadlineExceededError: the block took too long. It was cancelled.
        """
        self.check()
        seconds = min(seconds, self._max_seconds)
        self._admitted += 1
        with CancelScope(deadline=current_time() + seconds) as scope:
            self._scopes.add(scope)
            try:
                yield Place(self)
            finally:
                self._scopes.discard(scope)
                self._admitted -= 1
        if scope.cancelled_caught:
            if self._is_stopping:
                raise OverloadedError.stopping()
            raise DeadlineExceededError(seconds)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Wait for a thread, and do the work in it."""

        def timed() -> T:
            start = perf_counter()
            self._started[prediction := object()] = start
            try:
                result = work()
            finally:
                del self._started[prediction]
            self._typical_seconds += 0.2 * (perf_counter() - start - self._typical_seconds)
            return result

        return await to_thread.run_sync(timed, limiter=self._threads)


class Place:
    """A place in the queue."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def run(self, work: Callable[[], T], disconnected: Callable[[], Awaitable[None]]) -> T:
        """Wait in the queue, do the work in a thread, and return its result or raise its error.

        Args:
            work: what to do, off the event loop. If the client disconnects or the time is over, it is cancelled at its
                next call of `anyio.from_thread.check_cancelled`; without such a call it runs to its end.
            disconnected: returns when the client has disconnected. A request that is still waiting then leaves the
                queue.

        Raises:
            ClientDisconnect: the client has disconnected.
        """
        outcome: list[T | Exception] = []

        async def cancel_on_disconnect(scope: CancelScope) -> None:
            await disconnected()
            scope.cancel()

        async with create_task_group() as group:
            group.start_soon(cancel_on_disconnect, group.cancel_scope)
            try:
                outcome.append(await self._scheduler.in_thread(work))
            except Exception as error:  # raised below: the task group would wrap it in an exception group
                outcome.append(error)
            group.cancel_scope.cancel()
        if not outcome:
            raise ClientDisconnect
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]
