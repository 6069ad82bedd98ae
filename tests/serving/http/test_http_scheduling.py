"""The bounded queue in front of the worker threads."""

import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import pytest
from anyio.from_thread import check_cancelled
from starlette.requests import ClientDisconnect

from serving.core.errors import DeadlineExceededError, InvalidImageError, OverloadedError
from serving.http.scheduling import Large, Scheduler

T = TypeVar("T")


async def never() -> None:
    await anyio.sleep_forever()


async def run(scheduler: Scheduler, work: Callable[[], T], disconnected: Callable[[], Awaitable[None]]) -> T:
    async with scheduler.place() as place:
        return await place.run(work, disconnected)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.001)


def test_work_is_done_off_the_event_loop_and_answered() -> None:
    async def scenario() -> None:
        main = threading.get_ident()
        assert await run(Scheduler(1, 0), threading.get_ident, never) != main

    anyio.run(scenario)


def test_running_and_waiting_work_is_limited() -> None:
    async def scenario() -> None:
        scheduler, gate, done = Scheduler(2, 3), threading.Event(), []

        async def one(number: int) -> None:
            done.append(await run(scheduler, lambda: gate.wait(10) and number, never))

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(one, number)
            await until(lambda: (scheduler.running, scheduler.waiting) == (2, 3))
            with pytest.raises(
                OverloadedError, match="2 predictions are running and 3 are waiting"
            ) as caught:
                await run(scheduler, lambda: 0, never)
            assert 1 <= caught.value.retry_after <= 60
            gate.set()
        assert sorted(done) == list(range(5))
        assert (scheduler.running, scheduler.waiting) == (0, 0)
        assert await run(scheduler, lambda: "free again", never) == "free again"

    anyio.run(scenario)


def test_an_error_comes_out_as_it_is_and_frees_the_place() -> None:
    async def scenario() -> None:
        scheduler = Scheduler(1, 0)

        def fail() -> None:
            raise InvalidImageError("no picture")

        for _ in range(3):
            with pytest.raises(InvalidImageError, match="no picture"):
                await run(scheduler, fail, never)
        assert (scheduler.running, scheduler.waiting) == (0, 0)

    anyio.run(scenario)


def test_a_client_that_hangs_up_while_waiting_frees_its_place_and_is_never_worked_for() -> None:
    async def scenario() -> None:
        scheduler, gate, hang_up = Scheduler(1, 1), threading.Event(), anyio.Event()
        worked = []

        async def waiting() -> None:
            with pytest.raises(ClientDisconnect):
                await run(scheduler, lambda: worked.append("after the client left"), hang_up.wait)

        async with anyio.create_task_group() as group:
            group.start_soon(run, scheduler, lambda: gate.wait(10), never)
            await until(lambda: scheduler.running == 1)
            group.start_soon(waiting)
            await until(lambda: scheduler.waiting == 1)
            hang_up.set()
            await until(lambda: scheduler.waiting == 0)
            scheduler.check()  # there is room again, though the first still runs
            assert scheduler.running == 1
            gate.set()
        assert not worked

    anyio.run(scenario)


def test_work_ends_where_it_asks_once_the_client_has_hung_up() -> None:
    async def scenario() -> None:
        scheduler, hang_up, finished = Scheduler(1, 0), anyio.Event(), []

        def work() -> None:
            for _ in range(10_000):
                check_cancelled()
                time.sleep(0.001)
            finished.append("after the client left")

        async def running() -> None:
            with pytest.raises(ClientDisconnect):
                await run(scheduler, work, hang_up.wait)

        async with anyio.create_task_group() as group:
            group.start_soon(running)
            await until(lambda: scheduler.running == 1)
            hang_up.set()
        assert not finished
        assert (scheduler.running, scheduler.waiting) == (0, 0)
        assert await run(scheduler, lambda: "free again", never) == "free again"

    anyio.run(scenario)


def test_work_that_does_not_ask_is_seen_through() -> None:
    async def scenario() -> None:
        scheduler, gate, hang_up = Scheduler(1, 0), threading.Event(), anyio.Event()
        worked: list[bool | str] = []

        async def running() -> None:
            # Nobody receives its answer, so it may be returned or the hang-up reported.
            try:
                await run(scheduler, lambda: worked.append(gate.wait(10)), hang_up.wait)
            except ClientDisconnect:
                worked.append("gone")

        async with anyio.create_task_group() as group:
            group.start_soon(running)
            await until(lambda: scheduler.running == 1)
            hang_up.set()
            await anyio.sleep(0.01)
            with pytest.raises(OverloadedError):
                scheduler.check()  # the thread is still taken
            gate.set()
        assert worked[0] is True
        assert scheduler.running == 0

    anyio.run(scenario)


def test_advice_on_when_to_come_back_follows_how_long_work_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 20))  # each piece of work takes 20 s
    monkeypatch.setattr("serving.http.scheduling.perf_counter", lambda: next(clock))

    async def scenario() -> int:
        scheduler, gate = Scheduler(1, 0), threading.Event()
        for _ in range(30):
            await run(scheduler, lambda: None, never)
        async with anyio.create_task_group() as group:
            group.start_soon(run, scheduler, lambda: gate.wait(10), never)
            await until(lambda: scheduler.running == 1)
            with pytest.raises(OverloadedError) as caught:
                scheduler.check()
            gate.set()
        return caught.value.retry_after

    assert anyio.run(scenario) == 20


def test_when_to_come_back_counts_what_runs_and_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("serving.http.scheduling.perf_counter", lambda: now[0])

    async def scenario() -> None:
        scheduler, gate = Scheduler(1, 2), threading.Event()

        async def one() -> None:
            await run(scheduler, lambda: gate.wait(30), never)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
            await until(lambda: (scheduler.running, scheduler.waiting) == (1, 2))
            with pytest.raises(OverloadedError) as at_first:
                scheduler.check()
            now[0] = 4
            with pytest.raises(OverloadedError) as later:
                scheduler.check()
            gate.set()
        # A second for each, while nothing else is known; the running one has taken four and is assumed to be half done.
        assert at_first.value.retry_after == 3
        assert later.value.retry_after >= 6

    anyio.run(scenario)


def test_what_takes_too_long_is_cancelled_and_told_so() -> None:
    def work() -> None:
        while True:
            check_cancelled()
            time.sleep(0.01)

    async def scenario() -> None:
        scheduler = Scheduler(1, 1, max_seconds=0.3)
        with pytest.raises(DeadlineExceededError, match=r"more than 0\.3 seconds"):
            await run(scheduler, work, never)
        assert (scheduler.running, scheduler.waiting) == (0, 0)
        assert await run(scheduler, lambda: "free again", never) == "free again"

    anyio.run(scenario)


def test_a_place_is_taken_before_the_work_is_known() -> None:
    async def scenario() -> None:
        scheduler = Scheduler(1, 0, max_seconds=0.3)
        async with scheduler.place() as place:
            assert (scheduler.running, scheduler.waiting) == (0, 1)
            with pytest.raises(OverloadedError):
                scheduler.check()
            assert await place.run(lambda: "worked", never) == "worked"
        with pytest.raises(DeadlineExceededError):
            async with scheduler.place():
                await anyio.sleep_forever()
        with pytest.raises(DeadlineExceededError, match=r"0\.1 seconds"):
            async with scheduler.place(seconds=0.1):
                await anyio.sleep_forever()
        scheduler.check()

    anyio.run(scenario)


def test_a_stop_cancels_what_runs_and_what_waits() -> None:
    def work() -> None:
        while True:
            check_cancelled()
            time.sleep(0.01)

    async def scenario() -> None:
        scheduler = Scheduler(1, 1)

        async def stopped() -> None:
            with pytest.raises(OverloadedError, match="is stopping"):
                await run(scheduler, work, never)

        async with anyio.create_task_group() as group:
            group.start_soon(stopped)
            group.start_soon(stopped)
            await until(lambda: (scheduler.running, scheduler.waiting) == (1, 1))
            scheduler.stop()

    anyio.run(scenario)


def test_time_in_the_queue_counts_too() -> None:
    async def scenario() -> None:
        scheduler, gate = Scheduler(1, 1, max_seconds=0.5), threading.Event()

        async def hold() -> None:  # it cannot be cancelled
            assert await run(scheduler, lambda: gate.wait(30), never)

        async with anyio.create_task_group() as group:
            group.start_soon(hold)
            await until(lambda: scheduler.running == 1)
            with pytest.raises(DeadlineExceededError):
                await run(scheduler, lambda: None, never)
            assert scheduler.waiting == 0
            gate.set()

    anyio.run(scenario)


def test_small_predictions_run_beside_large_ones_which_run_within_their_pixels_in_order() -> None:
    async def scenario() -> None:
        scheduler, gate = Scheduler(1, 9, max_large_pixels=100), threading.Event()
        done: list[str] = []

        async def large(name: str, pixels: int, hang_up: Callable[[], Awaitable[None]] = never) -> None:
            def work() -> str:
                gate.wait(30)
                done.append(name)
                return name

            result: str = await run(scheduler, lambda: Large(pixels, work), hang_up)  # type: ignore[arg-type, return-value]
            assert result == name

        async def gone(hang_up: anyio.Event) -> None:
            with pytest.raises(ClientDisconnect):
                await large("gone", 100, hang_up.wait)

        async with anyio.create_task_group() as group:
            group.start_soon(large, "first", 60)
            await until(lambda: (scheduler.running, scheduler.waiting) == (1, 0))
            hang_up = anyio.Event()
            group.start_soon(gone, hang_up)
            group.start_soon(large, "second", 1000)  # as many as there are
            group.start_soon(large, "third", 40)  # that many are free, but it is not its turn
            await until(lambda: (scheduler.running, scheduler.waiting) == (1, 3))
            assert await run(scheduler, lambda: "small", never) == "small"
            hang_up.set()
            await until(lambda: (scheduler.running, scheduler.waiting) == (1, 2))
            gate.set()
        assert done == ["first", "second", "third"]
        assert (scheduler.running, scheduler.waiting) == (0, 0)

    anyio.run(scenario)
