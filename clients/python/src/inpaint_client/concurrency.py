"""Many calls at once, in bounded number and memory, with their results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ordered(
    function: Callable[[T], R], items: Iterable[T], *, max_concurrency: int
) -> Generator[R, None, None]:
    """Yield `function(item)` for each item, in the order of `items`, running up to `max_concurrency` at once.

    `items` is read only as far as needed: at most 2 · `max_concurrency` items are read and not yet yielded;
    twice, so that a slow item at the head does not leave the other threads idle at once.
    An error in `function` or `items` is raised here. When the iteration is given up, nothing new is started,
    and what runs is not waited for.
    """
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(max_concurrency, thread_name_prefix="inpaint")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            while pending and (len(pending) == 2 * max_concurrency or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
