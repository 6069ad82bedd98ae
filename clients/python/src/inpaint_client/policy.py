"""How long to wait, and how often to try again: two small value objects."""

import math
import random
from dataclasses import dataclass

from .errors import InvalidInputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeout:
    """Limits on one attempt of one request, in seconds.

    `connect` bounds the making of the connection and each write to it; `read` bounds the wait for the
    answer, which is the time that the model works.
    """

    connect: float = 5.0
    read: float = 120.0

    def __post_init__(self) -> None:
        for name, seconds in (("connect", self.connect), ("read", self.read)):
            if not (math.isfinite(seconds) and seconds > 0):
                raise InvalidInputError(f"timeout: {name} is {seconds!r}; give a number of seconds above 0")

    def at_most(self, seconds: float) -> "Timeout":
        """Give the same limits, none above `seconds`."""
        return Timeout(connect=min(self.connect, seconds), read=min(self.read, seconds))


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """Repeats after a failure that may pass: exponential backoff with full jitter.

    Repeat number n (1, 2, …, `count`) comes after a random wait between 0 and `backoff` · 2ⁿ⁻¹ seconds, and
    not before the server's `Retry-After`; no wait is longer than `cap` seconds. `count=0` turns repeats off.
    """

    count: int = 3
    backoff: float = 0.5
    cap: float = 30.0

    def __post_init__(self) -> None:
        if self.count < 0:
            raise InvalidInputError(f"retries: count is {self.count}; give 0 (no repeats) or more")
        for name, seconds in (("backoff", self.backoff), ("cap", self.cap)):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise InvalidInputError(
                    f"retries: {name} is {seconds!r}; give a number of seconds, 0 or more"
                )

    def delay(self, repeat: int, retry_after: float | None = None) -> float:
        """Seconds to wait before repeat number `repeat`, counted from 1."""
        ceiling = min(self.cap, math.ldexp(self.backoff, min(repeat - 1, 64)))
        jittered = random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing
        return min(self.cap, max(jittered, retry_after or 0.0))
