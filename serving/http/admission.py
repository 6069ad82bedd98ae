"""Admission: which requests the server accepts, how long their bodies may take, and how much memory they hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from anyio import CancelScope, current_time

from serving.core.errors import OverloadedError, RequestTimeoutError

BODY_SECONDS = 30.0
"""How long a body may take before its first byte, and between two of them."""

MIN_BYTES_PER_SECOND = 10_000
"""The least rate of a body, after its first `BODY_SECONDS`."""

_STOP_SECONDS = 5.0  # that a body may take when the server stops


class Admission:
    """Refuses requests when the server stops, and bodies that are too slow or take too much memory together."""

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
        """Refuse all further requests, and allow the bodies that are being received a few seconds."""
        self._stopped_at = current_time()
        for scope in self._receiving:
            scope.deadline = min(scope.deadline, self._stopped_at + _STOP_SECONDS)

    @contextmanager
    def request(self) -> Iterator["Body"]:
        """Admit a request.

        Raises:
            OverloadedError: the server stops.
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
            raise OverloadedError(
                f"The server is receiving too much at once: {self._held_bytes} bytes in all requests. "
                "Try again later.",
                retry_after=1,
            )
        self._held_bytes += size

    @contextmanager
    def receiving(self, deadline: float) -> Iterator[None]:
        """Cancel the `with` block at the deadline.

        Raises:
            RequestTimeoutError: the deadline has passed.
            OverloadedError: the server stops.
        """
        with CancelScope(deadline=min(deadline, self._stopped_at + _STOP_SECONDS)) as scope:
            self._receiving.add(scope)
            try:
                yield
            finally:
                self._receiving.discard(scope)
        if scope.cancelled_caught:
            if self._stopped_at < inf:
                raise OverloadedError.stopping()
            raise RequestTimeoutError(
                f"The body was sent too slowly: there must be less than {BODY_SECONDS:g} seconds between two parts of "
                f"it, and at least {MIN_BYTES_PER_SECOND} bytes per second."
            )


class Body:
    """The body of one request as it is received."""

    def __init__(self, admission: Admission) -> None:
        self.held_bytes = 0
        self._admission = admission
        self._first_deadline = current_time() + BODY_SECONDS
        self._received_bytes = 0

    @contextmanager
    def next_part(self) -> Iterator[None]:
        """Limit the time in which the next part is received."""
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
