"""Admission: which requests the server accepts, how long their bodies may take, and how much memory they hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from anyio import CancelScope, current_time

from serving.core.clients import BODY_SECONDS, MIN_BYTES_PER_SECOND, STOP_SECONDS, slow_body, too_many_bytes
from serving.core.errors import OverloadedError


class Admission:
    """Refuses requests while stopping, and bodies that are too slow or together take too much memory."""

    def __init__(self, max_held_bytes: int) -> None:
        """Create it.

        Args:
            max_held_bytes: bytes that the bodies of all requests may take together.
        """
        self._max_held_bytes = max_held_bytes
        self._held_bytes = 0
        self._requests = 0
        self._stopped_at = inf
        self._receiving: set[CancelScope] = set()

    @property
    def held_bytes(self) -> int:
        """Bytes of all bodies that are in memory."""
        return self._held_bytes

    @property
    def requests(self) -> int:
        """Requests that were admitted and are in progress."""
        return self._requests

    def stop(self) -> None:
        """Refuse all further requests, and give the bodies that are being received a few more seconds."""
        self._stopped_at = current_time()
        for scope in self._receiving:
            scope.deadline = min(scope.deadline, self._stopped_at + STOP_SECONDS)

    @contextmanager
    def request(self) -> Iterator["Body"]:
        """Admit a request.

        Raises:
            OverloadedError: the server is stopping.
        """
        if self._stopped_at < inf:
            raise OverloadedError.stopping()
        self._requests += 1
        body = Body(self)
        try:
            yield body
        finally:
            self._requests -= 1
            self._held_bytes -= body.held_bytes

    def hold(self, size: int) -> None:
        """Count bytes of a body.

        Raises:
            OverloadedError: the bodies of all requests would take too much memory.
        """
        if self._held_bytes + size > self._max_held_bytes:
            raise too_many_bytes(self._held_bytes)
        self._held_bytes += size

    @contextmanager
    def receiving(self, deadline: float) -> Iterator[None]:
        """Cancel the `with` block at the deadline.

        Raises:
            RequestTimeoutError: the deadline has passed.
            OverloadedError: the server is stopping.
        """
        with CancelScope(deadline=min(deadline, self._stopped_at + STOP_SECONDS)) as scope:
            self._receiving.add(scope)
            try:
                yield
            finally:
                self._receiving.discard(scope)
        if scope.cancelled_caught:
            if self._stopped_at < inf:
                raise OverloadedError.stopping()
            raise slow_body()


class Body:
    """The body of one request as it is received."""

    def __init__(self, admission: Admission) -> None:
        self.held_bytes = 0
        self._admission = admission
        self._first_deadline = current_time() + BODY_SECONDS
        self._received_bytes = 0

    @contextmanager
    def next_part(self) -> Iterator[None]:
        """Limit the time for receiving the next part."""
        slowest = self._first_deadline + self._received_bytes / MIN_BYTES_PER_SECOND
        with self._admission.receiving(min(slowest, current_time() + BODY_SECONDS)):
            yield

    def received(self, size: int) -> None:
        """Count bytes as they were sent."""
        self._received_bytes += size

    def hold(self, size: int) -> None:
        """Count bytes that are kept until the response."""
        self._admission.hold(size)
        self.held_bytes += size
