import itertools
import threading
from collections.abc import Iterator

import pytest
from inpaint_client.concurrency import map_ordered


def test_results_come_in_the_order_of_the_items() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(30)
        if item == 1:
            second_is_done.set()
        return item * item

    assert list(map_ordered(work, range(6), max_concurrency=2)) == [0, 1, 4, 9, 16, 25]


def test_so_many_run_at_once_and_no_more() -> None:
    together = threading.Barrier(3)
    lock = threading.Lock()
    running, most = 0, 0

    def work(item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(30)  # broken, and so an error, unless three are here at one time
        with lock:
            running -= 1

    list(map_ordered(work, range(9), max_concurrency=3))
    assert most == 3


def test_endless_input_is_read_only_as_far_as_needed() -> None:
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


def test_a_finished_head_does_not_wait_for_more_input() -> None:
    gate, fourth_runs = threading.Event(), threading.Event()
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for item in itertools.count():
            if item == 4:
                assert fourth_runs.wait(30)  # in the thread that item 0 has left: 1 and 2 hold the others
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


def test_giving_up_starts_nothing_new() -> None:
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
    taken.close()  # 1 and 2 run or are about to, 3 stands in the queue
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("inpaint"):
            thread.join(30)
    assert 3 not in started


def test_errors_come_out() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_ordered(lambda item: 1 // item, [1, 0], max_concurrency=2))

    def items() -> Iterator[int]:
        yield 1
        raise LookupError("the input broke")

    with pytest.raises(LookupError):
        list(map_ordered(lambda item: item, items(), max_concurrency=2))
