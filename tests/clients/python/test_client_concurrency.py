import asyncio
import itertools
import threading
from collections.abc import Iterator

import pytest
from inpaint_client.concurrency import map_ordered, map_ordered_async


def test_results_are_in_the_order_of_the_items() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(30)
        if item == 1:
            second_is_done.set()
        return item * item

    assert list(map_ordered(work, range(6), max_concurrency=2)) == [0, 1, 4, 9, 16, 25]


def test_the_number_of_threads_is_limited() -> None:
    together = threading.Barrier(3)
    lock = threading.Lock()
    running, most = 0, 0

    def work(item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(30)  # raises BrokenBarrierError unless three threads run at once
        with lock:
            running -= 1

    list(map_ordered(work, range(9), max_concurrency=3))
    assert most == 3


def test_infinite_input_is_read_lazily() -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for item in itertools.count(1):
            read = item
            yield item

    taken = map_ordered(lambda item: item, items(), max_concurrency=2)
    for yielded in range(1, 50):
        assert next(taken) == yielded
        assert read <= yielded + 4
    taken.close()


def test_a_finished_result_is_yielded_before_more_input_is_read() -> None:
    gate, fourth_runs = threading.Event(), threading.Event()
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for item in itertools.count():
            if item == 4:
                assert fourth_runs.wait(30)  # in the thread of item 0, since 1 and 2 block the others
            read = item + 1
            yield item

    def work(item: int) -> int:
        if item == 3:
            fourth_runs.set()
        if item:
            gate.wait(30)
        return item

    taken = map_ordered(work, items(), max_concurrency=3)
    assert next(taken) == 0
    assert read <= 5
    gate.set()
    taken.close()


def test_closing_the_generator_starts_no_new_calls() -> None:
    last_is_read, gate = threading.Event(), threading.Event()
    started: list[int] = []

    def items() -> Iterator[int]:
        yield from (0, 1, 2)
        last_is_read.set()
        yield 3

    def work(item: int) -> int:
        started.append(item)
        (gate if item else last_is_read).wait(30)
        return item

    taken = map_ordered(work, items(), max_concurrency=2)
    assert next(taken) == 0
    taken.close()  # 1 and 2 are running or about to, 3 is queued
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("inpaint"):
            thread.join(30)
    assert 3 not in started


def test_exceptions_propagate() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_ordered(lambda item: 1 // item, [1, 0], max_concurrency=2))

    def items() -> Iterator[int]:
        yield 1
        raise LookupError("the input broke")

    with pytest.raises(LookupError):
        list(map_ordered(lambda item: item, items(), max_concurrency=2))


def test_async_results_are_in_order_and_tasks_are_limited() -> None:
    running, most = 0, 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01 * (item % 3))
        running -= 1
        return item * item

    async def collect() -> list[int]:
        return [result async for result in map_ordered_async(work, range(12), max_concurrency=3)]

    assert asyncio.run(collect()) == [item * item for item in range(12)]
    assert most == 3


def test_closing_the_async_generator_cancels_the_running_calls() -> None:
    read = cancelled = 0

    def items() -> Iterator[int]:
        nonlocal read
        for item in itertools.count():
            read = item + 1
            yield item

    async def work(item: int) -> int:
        nonlocal cancelled
        try:
            await asyncio.sleep(30 if item else 0)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return item

    async def take_one() -> None:
        results = map_ordered_async(work, items(), max_concurrency=2)
        assert await anext(results) == 0
        await asyncio.sleep(0)
        await results.aclose()

    asyncio.run(take_one())
    assert read <= 5
    assert cancelled >= 1


def test_async_exceptions_propagate() -> None:
    async def work(item: int) -> float:
        return 1 / item

    async def collect() -> None:
        async for _ in map_ordered_async(work, [1, 0, 2], max_concurrency=2):
            pass

    with pytest.raises(ZeroDivisionError):
        asyncio.run(collect())
