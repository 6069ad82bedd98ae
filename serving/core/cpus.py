"""The CPU cores that this process may use."""

import os


def available_cores() -> int:
    """Return how many cores this process may run on.

    Limits set by taskset or a container are respected where the system reports them.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
