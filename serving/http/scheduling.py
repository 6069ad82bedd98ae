"""Scheduling: a bounded queue in front of the worker threads.

Small and large requests have separate threads, so a large one never keeps a small one waiting. The total
pixels of large ones are limited, and so is their memory. All of them take turns to run the model
(`serving.core.turns`).
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil, inf
from time import perf_counter
from typing import Generic, TypeVar

from anyio import CancelScope, CapacityLimiter, Event, create_task_group, current_time, to_thread
from starlette.requests import ClientDisconnect

from serving.core.errors import DeadlineExceededError, OverloadedError

T = TypeVar("T")

_MAX_RETRY_AFTER = 60  # seconds
_MAX_LARGE = 8  # large predictions running at once


@dataclass(frozen=True)
class Large(Generic[T]):
    """What work returns instead of a result if it turns out to be large: the rest of the work.

    Attributes:
        pixels: how many pixels it has.
        work: the work to run once that many pixels are free.
    """

    pixels: int
    work: Callable[[], T]


def now_or_large(pixels: int, small_pixels: int, work: Callable[[], T]) -> T | Large[T]:
    """Do the work at once if it has at most `small_pixels` pixels; otherwise return it for later."""
    return work() if pixels <= small_pixels else Large(pixels, work)


class Scheduler:
    """Runs work in threads, with a queue of at most `queue_size`."""

    def __init__(
        self, threads: int, queue_size: int, max_seconds: float = inf, max_large_pixels: int = 2**26
    ) -> None:
        """Create a scheduler.

        Args:
            threads: maximum number of small predictions running at once.
            queue_size: maximum number of predictions waiting.
            max_seconds: how long a request may take after its headers: its body, the queue and the work.
            max_large_pixels: maximum total pixels of the large predictions running at once.
        """
        self._max_seconds = max_seconds
        self._small = CapacityLimiter(threads)
        self._large = _Pixels(max_large_pixels)
        self._capacity = threads + queue_size
        self._admitted = 0
        self._typical_seconds = 1.0
        self._started: dict[object, float] = {}  # by prediction
        self._scopes: set[CancelScope] = set()
        self._is_stopping = False

    @property
    def running(self) -> int:
        """How many predictions are running."""
        return len(self._started)

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
        """Estimate how many seconds the running and waiting predictions will take."""
        now = perf_counter()
        elapsed = [now - start for start in list(self._started.values())]
        # One that has taken longer than is typical is probably large: assume that it is half done.
        running = sum(max(self._typical_seconds - seconds, seconds) for seconds in elapsed)
        not_started = self._admitted - len(elapsed)
        return (running + not_started * self._typical_seconds) / self._small.total_tokens

    def stop(self) -> None:
        """Cancel all running and waiting predictions."""
        self._is_stopping = True
        for scope in self._scopes:
            scope.cancel()

    @asynccontextmanager
    async def place(self, seconds: float = inf) -> AsyncIterator["Place"]:
        """Take a place in the queue during the `async with` block. Routes read the body inside it.

        Args:
            seconds: how long the block may take, if that is less than `max_seconds`.

        Raises:
            OverloadedError: the queue is full, or the server is stopping.
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

    async def in_thread(self, work: Callable[[], T | Large[T]]) -> T:
        """Wait for a thread, and do the work in it."""
        result = await self._run(work, self._small)
        if not isinstance(result, Large):
            return result
        async with self._large.hold(result.pixels) as limiter:
            return await self._run(result.work, limiter)

    async def _run(self, work: Callable[[], T], limiter: CapacityLimiter) -> T:
        def timed() -> T:
            start = perf_counter()
            self._started[prediction := object()] = start
            try:
                result = work()
            finally:
                del self._started[prediction]
            if not isinstance(result, Large):
                self._typical_seconds += 0.2 * (perf_counter() - start - self._typical_seconds)
            return result

        return await to_thread.run_sync(timed, limiter=limiter)


class _Pixels:
    """A total of pixels shared by large predictions, granted in order of arrival."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._waiting: deque[tuple[int, Event]] = deque()
        self._threads = CapacityLimiter(_MAX_LARGE)

    @asynccontextmanager
    async def hold(self, pixels: int) -> AsyncIterator[CapacityLimiter]:
        """Wait until this many pixels are free, and take them for the `async with` block."""
        pixels = min(max(pixels, self._total // _MAX_LARGE), self._total)
        ticket = pixels, Event()
        self._waiting.append(ticket)
        try:
            self._admit()
            await ticket[1].wait()
            yield self._threads
        finally:
            if ticket[1].is_set():
                self._free += pixels
            else:
                self._waiting.remove(ticket)
            self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            pixels, event = self._waiting.popleft()
            self._free -= pixels
            event.set()


class Place:
    """A place in the queue."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def run(self, work: Callable[[], T | Large[T]], disconnected: Callable[[], Awaitable[None]]) -> T:
        """Wait in the queue, do the work in a thread, and return its result or raise its error.

        Args:
            work: the work to do off the event loop; for a large prediction, only what it takes to find that
                out. If the client disconnects or the time is up, it is cancelled at its next call of
                `anyio.from_thread.check_cancelled`; without such a call it runs to completion.
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
                result: T = await self._scheduler.in_thread(work)
                outcome.append(result)
            except Exception as error:  # raised below: the task group would wrap it in an exception group
                outcome.append(error)
            group.cancel_scope.cancel()
        if not outcome:
            raise ClientDisconnect
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]
