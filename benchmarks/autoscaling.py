"""`python -m benchmarks.autoscaling`: a simulation of replicas, their queues and an autoscaler, with a plot.

Requests arrive at random at a rate that changes. Each goes to a replica, which works on `slots` requests at a time and
queues up to `queue` more; any further request is answered 503. The autoscaler is the Helm chart's: it runs every 15
seconds, at most doubles the replicas, and removes them only after five quieter minutes.
"""

from __future__ import annotations

import argparse
import math
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Metric = Literal["inFlight", "waiting", "cpu"]
Balance = Literal["least", "random"]

PERIOD: Final = 15.0
"""Seconds between two runs of the autoscaler."""
STABILISATION: Final = 300.0
TOLERANCE: Final = 0.1

# (minute, requests a second): between two points the rate changes linearly.
TRACE: Final = ((0, 20), (10, 20), (15, 200), (30, 200), (30.1, 400), (32, 400), (32.1, 20), (50, 20))


@dataclass(frozen=True)
class Service:
    """The simulated service.

    Attributes:
        seconds: mean seconds of a prediction in one slot.
        spread: standard deviation of these seconds, as a share of the mean; 1 is an exponential distribution.
        slots: predictions that a replica runs at a time.
        queue: maximum predictions waiting in a replica.
        balance: whether a request goes to the replica with the fewest requests, or to a random one.
        metric: what the autoscaler scales by.
        target: predictions running and waiting per replica, or waiting per replica, or the used share of its slots.
        least: minimum replicas.
        most: maximum replicas.
        start_seconds: from the decision to add a replica to its first request.
    """

    seconds: float = 0.031
    spread: float = 0.5
    slots: int = 2
    queue: int = 16
    balance: Balance = "least"
    metric: Metric = "inFlight"
    target: float = 1
    least: int = 2
    most: int = 50
    start_seconds: float = 30


@dataclass
class Replica:
    """One server: when each slot is free, and when the requests in it are finished."""

    free: list[float]
    finished: list[float] = field(default_factory=list)

    def in_flight(self, now: float) -> int:
        """Return how many requests run or wait."""
        while self.finished and self.finished[0] <= now:
            heappop(self.finished)
        return len(self.finished)

    def take(self, now: float, seconds: float) -> float:
        """Accept a request and return when it is finished."""
        end = max(now, heappop(self.free)) + seconds
        heappush(self.free, end)
        heappush(self.finished, end)
        return end


@dataclass(frozen=True)
class Result:
    """The result of a simulation.

    Attributes:
        arrivals: second at which each request arrived.
        latency: seconds until its answer; NaN if it was answered 503.
        looks: second of each run of the autoscaler.
        replicas: how many replicas took requests then.
    """

    arrivals: NDArray[np.float64]
    latency: NDArray[np.float64]
    looks: NDArray[np.float64]
    replicas: NDArray[np.int64]

    def to_markdown(self, name: str) -> str:
        """Return a row: name, p50 and p99 in ms, share of 503s, most replicas, replica-hours."""
        p50, p99 = np.nanpercentile(self.latency, [50, 99]) * 1000
        rejected = float(np.isnan(self.latency).mean())
        hours = float(self.replicas.sum()) * PERIOD / 3600
        return f"| {name} | {p50:.0f} | {p99:.0f} | {rejected:.2%} | {self.replicas.max()} | {hours:.1f} |"


HEADER: Final = """\
| autoscaling by | p50 (ms) | p99 (ms) | 503 | most replicas | replica-hours |
|---|---|---|---|---|---|"""


def arrivals(trace: tuple[tuple[float, float], ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the seconds at which requests arrive: a Poisson process whose rate follows the trace."""
    minutes, rates = np.array(trace, np.float64).T
    most, end = rates.max(), 60 * minutes[-1]
    seconds = np.sort(rng.uniform(0, end, rng.poisson(most * end)))
    kept = rng.uniform(0, most, seconds.size) < np.interp(seconds, 60 * minutes, rates)
    return np.asarray(seconds[kept], np.float64)


def simulate(service: Service, seconds_of_arrival: NDArray[np.float64], seed: int = 0) -> Result:
    """Answer the requests and scale the replicas."""
    rng = np.random.default_rng(seed)
    shape = 1 / service.spread**2
    work = rng.gamma(shape, service.seconds / shape, seconds_of_arrival.size)
    choices = rng.random(seconds_of_arrival.size)
    replicas = [Replica([0.0] * service.slots) for _ in range(service.least)]
    starting: deque[float] = deque()
    wanted: deque[tuple[float, int]] = deque()
    latency = np.full(seconds_of_arrival.size, np.nan)
    looks, counts, used, next_look = [], [], 0.0, PERIOD

    for index, now in enumerate(seconds_of_arrival):
        while now >= next_look:
            while starting and starting[0] <= next_look:
                starting.popleft()
                replicas.append(Replica([next_look] * service.slots))
            share = used / (PERIOD * service.slots * len(replicas))
            _scale(service, replicas, starting, wanted, next_look, share)
            looks.append(next_look)
            counts.append(len(replicas))
            next_look, used = next_look + PERIOD, 0.0
        if service.balance == "random":
            replica = replicas[int(choices[index] * len(replicas))]
        else:
            replica = min(replicas, key=lambda each: each.in_flight(now))
        if replica.in_flight(now) < service.slots + service.queue:
            latency[index] = replica.take(now, work[index]) - now
            used += work[index]
    return Result(seconds_of_arrival, latency, np.array(looks), np.array(counts))


def _scale(
    service: Service,
    replicas: list[Replica],
    starting: deque[float],
    wanted: deque[tuple[float, int]],
    now: float,
    share: float,
) -> None:
    """Start or remove replicas as Kubernetes' HorizontalPodAutoscaler does."""
    count = len(replicas) + len(starting)
    in_flight = [replica.in_flight(now) for replica in replicas]
    load = {
        "inFlight": sum(in_flight),
        "waiting": sum(max(0, each - service.slots) for each in in_flight),
        "cpu": share * len(replicas),
    }[service.metric]
    ratio = load / (service.target * count)
    desired = count if abs(ratio - 1) <= TOLERANCE else math.ceil(ratio * count)
    desired = min(max(desired, service.least), service.most)
    wanted.append((now, desired))
    while wanted[0][0] < now - STABILISATION:
        wanted.popleft()
    if desired > count:
        added = min(desired, max(2 * count, count + 2)) - count
        starting.extend([now + service.start_seconds] * added)
    elif (highest := max(number for _, number in wanted)) < len(replicas):
        # A fifth a minute, or one; this runs every quarter of a minute.
        step = max(1, math.floor(0.2 * len(replicas))) if now % 60 < PERIOD else 0
        del replicas[max(highest, len(replicas) - step) :]


def plot(results: dict[str, Result], path: Path) -> None:
    """Draw requests, replicas, p99 and 503s over time."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (rates, replicas, latency, rejected) = plt.subplots(4, sharex=True, figsize=(9, 9))
    for name, result in results.items():
        edges = np.concatenate([[0], result.looks])
        minutes = result.looks / 60
        parts = np.searchsorted(result.arrivals, edges)
        slices = [slice(first, last) for first, last in pairwise(parts)]
        if name == next(iter(results)):
            rates.plot(minutes, np.diff(parts) / PERIOD, color="black")
        replicas.step(minutes, result.replicas, label=name, where="post")
        answered = [part[~np.isnan(part)] for part in (result.latency[each] for each in slices)]
        latency.plot(minutes, [1000 * np.percentile(part, 99) if part.size else np.nan for part in answered])
        rejected.plot(minutes, [np.isnan(result.latency[each]).sum() / PERIOD for each in slices])
    for axes, label in (
        (rates, "requests/s"),
        (replicas, "replicas"),
        (latency, "p99 (ms)"),
        (rejected, "503/s"),
    ):
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    latency.set_yscale("log")
    replicas.legend()
    rejected.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Simulate ways of scaling on one trace, print a table and draw a plot."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.autoscaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=Service.seconds, help="of a prediction in one slot")
    parser.add_argument(
        "--slots", type=int, default=Service.slots, help="predictions a replica runs at a time"
    )
    parser.add_argument(
        "--queue", type=int, default=Service.queue, help="maximum predictions waiting in a replica"
    )
    parser.add_argument(
        "--start-seconds", type=float, default=Service.start_seconds, help="until a new replica answers"
    )
    parser.add_argument("--most", type=int, default=Service.most, help="maximum replicas")
    parser.add_argument("--balance", choices=("least", "random"), default=Service.balance)
    parser.add_argument("--plot", type=Path, help="PNG, SVG or WebP file to draw the plot to")
    options = parser.parse_args()
    shared = {
        key: getattr(options, key)
        for key in ("seconds", "slots", "queue", "start_seconds", "most", "balance")
    }
    ways = {
        "CPU, 70 %": Service(metric="cpu", target=0.7, **shared),
        "CPU, 50 %": Service(metric="cpu", target=0.5, **shared),
        "in flight, half the slots": Service(metric="inFlight", target=0.5 * options.slots, **shared),
        "waiting, one": Service(metric="waiting", target=1, **shared),
    }
    requests = arrivals(TRACE, np.random.default_rng(0))
    results = {name: simulate(service, requests) for name, service in ways.items()}
    print(HEADER)
    for name, result in results.items():
        print(result.to_markdown(name))
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
