"""`python -m benchmarks.batch`: photos a second of `python -m serving.batch` in one process and in several."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.sample import png, sample
from serving.batch.filler import Filler
from serving.batch.jobs import Job
from serving.batch.workers import fill_files
from serving.core.cpus import available_cores
from serving.core.models import default_model


def photos_per_second(model: Path, workers: int, threads: int, photos: int) -> float:
    """Return how many photos, 178×178 PNG, are filled and written in a second once every process has started.

    Args:
        model: an ONNX file.
        workers: number of processes.
        threads: CPU threads of each.
        photos: how many are timed; 100 for each process are filled first, as a warm-up.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("photo.png", "mask.png")]
        for path, pixels in zip(paths, sample(), strict=True):
            path.write_bytes(png(pixels))
        photo, mask = map(str, paths)
        uncounted = 100 * workers
        jobs = [Job(photo, mask, f"{folder}/filled/{number}.png") for number in range(uncounted + photos)]
        make = partial(Filler, model, threads=threads)
        start = 0.0
        fills = fill_files(make, jobs, workers=workers, scale_mask=False)
        for number, (_, reason) in enumerate(fills, 1):
            if reason is not None:
                raise RuntimeError(f"The photo could not be filled: {reason}")
            if number == uncounted:
                start = perf_counter()
        return photos / (perf_counter() - start)


def main() -> None:
    """Measure the ways in turn, and print their medians as Markdown."""
    parser = argparse.ArgumentParser("python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--model", type=Path, default=default_model(), help="the ONNX model")
    parser.add_argument("--photos", type=int, default=200, help="photos per measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way")
    parser.add_argument("--workers", type=int, default=available_cores(), help="processes, one thread each")
    options = parser.parse_args()
    ways = {
        "one process, one thread": (1, 1),
        f"one process, {available_cores()} threads (--workers 1)": (1, available_cores()),
        f"{options.workers} processes, one thread each (--workers {options.workers})": (options.workers, 1),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, (workers, threads) in ways.items():
            speeds[name].append(photos_per_second(options.model, workers, threads, options.photos))
    medians = {name: median(values) for name, values in speeds.items()}
    first = next(iter(medians.values()))
    print("| | photos/s | times as fast as the first |\n|---|---|---|")
    for name, speed in medians.items():
        print(f"| {name} | {speed:.1f} | {speed / first:.2f} |")


if __name__ == "__main__":
    main()
