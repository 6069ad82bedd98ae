"""Timing several ways of doing one thing, in turns, so that what else the machine does hits all alike."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Timing:
    """Wall time of one way, in milliseconds.

    Attributes:
        name: What was timed.
        p50: Median.
        p90: 90th percentile.
        least: Fastest.
    """

    name: str
    p50: float
    p90: float
    least: float


def time_in_turns(ways: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 3) -> list[Timing]:
    """Time every way once a round, `rounds` times after `warmup` uncounted ones.

    Each is called once before it is timed: what ran before it leaves spinning threads and other caches behind.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in tqdm(range(-warmup, rounds), desc="rounds", leave=False):
        for name, way in ways.items():
            way()
            start = perf_counter()
            way()
            if number >= 0:
                seconds[name].append(perf_counter() - start)
    return [
        Timing(
            name,
            1000 * statistics.median(values),
            1000 * statistics.quantiles(values, n=10)[-1],
            1000 * min(values),
        )
        for name, values in seconds.items()
    ]


def to_markdown(timings: list[Timing], base: str) -> str:
    """Return a table; the last column is how many times faster than `base` each is, by the medians."""
    median = next(timing.p50 for timing in timings if timing.name == base)
    lines = ["| | p50 (ms) | p90 (ms) | least (ms) | times as fast |", "|---|---|---|---|---|"]
    lines += [
        f"| {t.name} | {t.p50:.1f} | {t.p90:.1f} | {t.least:.1f} | {median / t.p50:.1f} |" for t in timings
    ]
    return "\n".join(lines)
