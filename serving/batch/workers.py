"""Fill photos in several processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait

from serving.batch.filler import Filler
from serving.batch.jobs import Job
from serving.core.errors import StartupError

_filler: Filler | None = None  # of a worker process


def fill_files(
    make: Callable[[], Filler], jobs: Sequence[Job], *, workers: int, scale_mask: bool
) -> Generator[tuple[Job, str | None], None, None]:
    """Fill photos and write the results, in this process for one worker, or else in processes of their own.

    Args:
        make: loads the model. It must be picklable.
        jobs: the photos.
        workers: number of processes.
        scale_mask: as for `Filler.fill_file`.

    Yields:
        Each job, in order, and why it could not be filled, or None.

    Raises:
        StartupError: the model cannot be loaded, or a process died.
    """
    if workers == 1:
        fill = partial(make().fill_file, scale_mask=scale_mask)
        yield from zip(jobs, map(fill, jobs), strict=True)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(make,))
    try:
        yield from zip(jobs, pool.map(partial(_fill, scale_mask=scale_mask), jobs), strict=True)
    except BrokenProcessPool as error:
        raise StartupError(
            "A worker process died: is there enough memory? Use fewer --workers, and run the command again to "
            "continue."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(make: Callable[[], Filler]) -> None:
    global _filler
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the first process's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _filler = make()


def _end_with_parent() -> None:
    """End this process when the first one was killed: the pool would leave it waiting for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _fill(job: Job, *, scale_mask: bool) -> str | None:
    assert _filler is not None  # noqa: S101 (set when the process started)
    return _filler.fill_file(job, scale_mask=scale_mask)
