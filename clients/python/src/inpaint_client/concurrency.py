"""Run a function on many items concurrently and return the results in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ordered(
    function: Callable[[T], R], items: Iterable[T], *, max_concurrency: int
) -> Generator[R, None, None]:
    """Yield `function(item)` for each item in order, with up to `max_concurrency` threads.

    `items` is read lazily: at most 2 · `max_concurrency` items are read ahead, so that one slow item does
    not leave the other threads idle. Exceptions from `function` and `items` propagate. Closing the
    generator cancels the pending calls and does not wait for the running ones.
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


async def map_ordered_async(
    function: Callable[[T], Awaitable[R]], items: Iterable[T], *, max_concurrency: int
) -> AsyncGenerator[R, None]:
    """Yield `await function(item)` for each item in order, with up to `max_concurrency` asyncio tasks.

    `items` is read lazily, as in `map_ordered`. Closing the generator cancels all tasks.
    """
    pending: deque[asyncio.Task[R]] = deque()
    limit = asyncio.Semaphore(max_concurrency)

    async def call(item: T) -> R:
        async with limit:
            return await function(item)

    try:
        for item in items:
            pending.append(asyncio.create_task(call(item)))
            while pending and (len(pending) == 2 * max_concurrency or pending[0].done()):
                yield await pending.popleft()
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
