"""Fill photos in worker processes of a Ray cluster."""

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from serving.batch.filler import Filler
from serving.batch.jobs import Job
from serving.batch.storage import absolute
from serving.core.cpus import available_cores
from serving.core.errors import StartupError

if TYPE_CHECKING:
    from ray import ObjectRef

_OBJECT_STORE_BYTES = 80 * 2**20  # Ray's minimum, about; photos are not put into it
_ATTEMPTS = 3


def fill_files_on_ray(
    make: Callable[[], Filler],
    jobs: Sequence[Job],
    *,
    address: str,
    workers: int | None,
    gpus: int,
    scale_mask: bool,
) -> Generator[tuple[Job, str | None], None, None]:
    """Fill photos and write the results, in processes of a Ray cluster that have a core each.

    A process gets a photo when it has loaded the model, and the next one when that is done. One that dies, or whose
    machine does, is replaced, and its photo is given to another one.

    Args:
        make: loads the model. It must be picklable.
        jobs: the photos. Their files must be accessible on every machine under the same absolute paths.
        address: of a running cluster, or "local" to start one on this machine.
        workers: number of processes, or None for as many as the cluster has cores, or GPUs.
        gpus: GPUs that each process reserves.
        scale_mask: as for `Filler.fill_file`.

    Yields:
        Each job when it is done, and why it could not be filled, or None.

    Raises:
        StartupError: Ray is not installed, the cluster cannot be reached or has no GPU, or the model cannot be loaded.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use to its maker
    try:
        import ray
        from ray.exceptions import ActorDiedError, ActorUnavailableError
    except ImportError as error:
        raise StartupError('Ray is not installed: run pip install ".[ray]".') from error

    _connect(address)
    try:
        if workers is None:
            resource = "GPU" if gpus else "CPU"
            workers = int(ray.cluster_resources().get(resource, 0))  # type: ignore[no-untyped-call]
            if workers == 0:
                raise StartupError(f"The Ray cluster has no {resource}.")
        worker: Any = ray.remote(num_cpus=1, num_gpus=gpus)(_Worker)
        waiting = deque(jobs)
        deaths: Counter[Job | None] = Counter()  # with None: while the model was loaded
        running: dict[ObjectRef[str | None], tuple[Any, Job | None]] = {}

        def start() -> None:
            process = worker.remote(make)
            running[process.load.remote()] = process, None

        for _ in range(min(workers, len(jobs))):
            start()
        left = len(jobs)
        while left:
            (done,), _ = ray.wait(list(running))
            process, job = running.pop(done)
            try:
                reason = ray.get(done)
            except (ActorDiedError, ActorUnavailableError) as error:
                start()
                deaths[job] += 1
                if deaths[job] < _ATTEMPTS:
                    if job is not None:
                        waiting.appendleft(job)
                    continue
                if job is None:
                    raise StartupError(f"The worker processes of Ray die when they start: {error}") from error
                reason = f"{_ATTEMPTS} worker processes died while they filled it: is there enough memory?"
            else:
                deaths[None] = 0
                if waiting:
                    following = waiting.popleft()
                    running[process.fill.remote(_absolute(following), scale_mask)] = process, following
            if job is not None:
                left -= 1
                yield job, reason
    finally:
        ray.shutdown()


class _Worker:
    """A process of the cluster."""

    def __init__(self, make: Callable[[], Filler]) -> None:
        self._make = make

    def load(self) -> None:
        """Load the model. It is no part of `__init__`, whose errors Ray passes on as text only."""
        self._filler = self._make()

    def fill(self, job: Job, scale_mask: bool) -> str | None:
        """Fill a photo; `Filler.fill_file` describes the arguments."""
        return self._filler.fill_file(job, scale_mask=scale_mask)


def _connect(address: str) -> None:
    import ray

    host, _, port = address.rpartition(":")
    try:
        # Where nobody listens, Ray tries for more than ten minutes.
        if port.isdigit() and "://" not in address:
            socket.create_connection((host, int(port)), timeout=10).close()
        if address == "local":
            ray.init(
                address,
                num_cpus=available_cores(),
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        else:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise StartupError(f"The Ray cluster at {address} cannot be reached: {error}") from error


def _absolute(job: Job) -> Job:
    """Return the same files for a process that runs in another folder."""
    mask = None if job.mask is None else absolute(job.mask)
    return replace(job, photo=absolute(job.photo), mask=mask, output=absolute(job.output))
