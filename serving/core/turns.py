"""Turns to run the model: which request comes next, and whether its run may use every core.

A request takes a turn for each run of the model, so other requests run between the windows of a large photo.
Decoding and encoding need no turn: they overlap with the runs of other requests.
"""

import heapq
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from time import monotonic

Turn = Callable[[], AbstractContextManager[bool]]
"""Entered for one run of the model; its value is whether the run may use every core."""

PATIENCE = 0.5
"""Maximum seconds for which newer requests overtake a request at a turn, however long it has already run."""

_POLL = 0.05  # seconds between two checkpoints


def no_turns() -> AbstractContextManager[bool]:
    """Return a turn at once, with every core: for one request at a time."""
    return nullcontext(True)


class Turns:
    """Lets `at_once` runs happen at the same time. Its methods are thread-safe.

    The next turn goes to the request that has used the model least, so that a small image does not wait for a large
    one. Newer requests overtake one for at most `PATIENCE` seconds at each of its turns, so that it does not starve.
    """

    def __init__(self, at_once: int) -> None:
        """Create the turns.

        Args:
            at_once: runs that may happen at the same time.
        """
        self._at_once = at_once
        self._free = at_once
        self._requests = 0
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, threading.Event]] = []  # a heap: the smallest comes first
        self._numbers = count()

    @contextmanager
    def request(self, checkpoint: Callable[[], None]) -> Iterator[Turn]:
        """Count a request as in progress, and provide its turns.

        Args:
            checkpoint: called about 20 times a second while waiting for a turn. An exception that it raises
                ends the wait.
        """
        used = 0.0

        @contextmanager
        def turn() -> Iterator[bool]:
            nonlocal used
            self._enter(min(used, PATIENCE), checkpoint)
            start = monotonic()
            try:
                yield self._is_quiet()
            finally:
                used += monotonic() - start
                self._leave()

        with self._lock:
            self._requests += 1
        try:
            yield turn
        finally:
            with self._lock:
                self._requests -= 1

    def _is_quiet(self) -> bool:
        """Tell whether there are so few requests that each run may use every core."""
        return self._requests <= max(1, self._at_once // 2)

    def _enter(self, handicap: float, checkpoint: Callable[[], None]) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            ticket = monotonic() + handicap, next(self._numbers), threading.Event()
            heapq.heappush(self._waiting, ticket)
        granted = ticket[2]
        try:
            while not granted.wait(_POLL):
                checkpoint()
        except BaseException:
            with self._lock:
                if granted.is_set():
                    self._pass_on()
                else:
                    self._waiting.remove(ticket)
                    heapq.heapify(self._waiting)
            raise

    def _leave(self) -> None:
        with self._lock:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[2].set()
        else:
            self._free += 1
