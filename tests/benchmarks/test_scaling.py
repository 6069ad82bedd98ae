"""The simulation compared with queueing theory, and the arithmetic of capacity."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from engines import MODEL
from PIL import Image

from benchmarks.autoscaling import Service, arrivals, plot, simulate
from benchmarks.capacity import cores, large_photo, measure, small_photo, to_markdown
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

MANY_MINUTES = 200


def steady(rate: float) -> np.ndarray:
    return arrivals(((0, rate), (MANY_MINUTES, rate)), np.random.default_rng(1))


def fixed(**settings: object) -> Service:
    """A single replica that is never scaled, with exponential service times."""
    return Service(least=1, most=1, spread=1, **settings)  # type: ignore[arg-type]


def test_requests_arrive_at_the_rate_of_the_trace() -> None:
    seconds = arrivals(((0, 10), (10, 10), (20, 30)), np.random.default_rng(0))
    assert (np.diff(seconds) >= 0).all()
    assert np.count_nonzero(seconds < 600) == pytest.approx(6000, rel=0.05)
    assert np.count_nonzero(seconds >= 600) == pytest.approx(12000, rel=0.05)


def test_one_slot_takes_the_time_of_an_m_m_1_queue() -> None:
    latency = simulate(fixed(seconds=0.1, slots=1, queue=10_000), steady(5)).latency
    assert latency.mean() == pytest.approx(0.1 / (1 - 0.5), rel=0.1)


def test_the_share_of_503s_is_that_of_erlangs_loss_formula() -> None:
    latency = simulate(fixed(seconds=0.2, slots=2, queue=0), steady(10)).latency
    load = 10 * 0.2
    terms = [load**number / math.factorial(number) for number in range(3)]
    assert np.isnan(latency).mean() == pytest.approx(terms[2] / sum(terms), rel=0.05)


@pytest.mark.parametrize(("metric", "target"), [("cpu", 0.5), ("inFlight", 1), ("waiting", 1)])
def test_replicas_follow_the_load(metric: str, target: float) -> None:
    service = Service(seconds=0.06, metric=metric, target=target)  # type: ignore[arg-type]
    requests = arrivals(((0, 20), (5, 20), (6, 100), (30, 100), (30.1, 5), (60, 5)), np.random.default_rng(0))
    result = simulate(service, requests)
    minutes = result.looks / 60
    assert result.replicas[minutes < 5].max() <= 4
    # Two slots of 0.06 s: 100 requests a second need three replicas that are never idle.
    assert (result.replicas[(minutes > 20) & (minutes < 30)] >= 3).all()
    assert result.replicas[-1] == service.least


def test_a_sudden_peak_is_answered_in_part_with_503(tmp_path: Path) -> None:
    requests = arrivals(((0, 20), (3, 20), (3.1, 200), (5, 200)), np.random.default_rng(0))
    results = {str(most): simulate(Service(seconds=0.06, most=most), requests) for most in (4, 50)}
    few, many = results.values()
    assert np.isnan(few.latency).mean() > np.isnan(many.latency).mean() > 0
    assert few.replicas.max() == 4
    assert f"| {np.isnan(few.latency).mean():.2%} | 4 |" in few.to_markdown("few")
    plot(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_cores_are_the_work_of_the_busiest_second_over_the_used_share() -> None:
    assert cores(86_400, seconds=0.5, peak=1, utilisation=1) == 1
    assert cores(86_400_000, seconds=0.06, peak=3, utilisation=0.6) == 300


def test_a_photo_of_each_size_is_measured() -> None:
    assert measure(Pipeline(Runtime(MODEL, threads=1)), small_photo(), rounds=1) > 0
    with Image.open(io.BytesIO(large_photo().image)) as image:
        assert image.width * image.height == 12_000_000
    assert "| 1,000,000 | 11.6 | 34.7 | 4 | 2 |" in to_markdown(
        0.06, peak=3, utilisation=0.6, cores_of_a_replica=2
    )
