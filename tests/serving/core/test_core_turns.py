"""Turns to run the model: how many run at once, who is next, and who may use every core."""

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from serving.core.turns import Turns

PATIENCE = 30.0


class CancelledError(Exception):
    pass


class Request(threading.Thread):
    """A request that waits for one turn, and logs when it gets it."""

    def __init__(self, turns: Turns, log: list[str], name: str, *, cancel: bool = False) -> None:
        super().__init__(name=name)
        self.waits = threading.Event()
        self._turns, self._log, self._cancel = turns, log, cancel
        self.start()

    def run(self) -> None:
        try:
            with self._turns.request(self._checkpoint) as turn, turn():
                self._log.append(self.name)
        except CancelledError:
            self._log.append(f"{self.name} cancelled")

    def _checkpoint(self) -> None:  # called while it waits
        self.waits.set()
        if self._cancel:
            raise CancelledError


def never() -> None:
    pass


def test_the_request_that_has_run_least_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("serving.core.turns.monotonic", lambda: now[0])
    turns, log = Turns(1), list[str]()
    with turns.request(never) as holder, ExitStack() as held:
        held.enter_context(holder())
        with turns.request(lambda: waits.set()) as large:
            waits = threading.Event()

            def work() -> None:
                for window in range(3):
                    with large():
                        log.append(f"window {window}")
                        now[0] += 0.3  # each of its runs takes this long

            thread = threading.Thread(target=work)
            thread.start()
            assert waits.wait(PATIENCE)
            smalls = [Request(turns, log, "first small")]
            assert smalls[0].waits.wait(PATIENCE)
            held.close()  # the large one, which came first, runs and then queues behind the small one
            thread.join(PATIENCE)
            smalls[0].join(PATIENCE)
    assert log == ["window 0", "first small", "window 1", "window 2"]


def test_newer_requests_overtake_one_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("serving.core.turns.monotonic", lambda: now[0])
    turns, log = Turns(1), list[str]()
    waits = threading.Event()
    with turns.request(waits.set) as large, turns.request(never) as holder:
        with large():
            now[0] += 1000.0
        with ExitStack() as held:
            held.enter_context(holder())

            def again() -> None:
                with large():
                    log.append("large")

            threads: list[threading.Thread] = [threading.Thread(target=again)]
            threads[0].start()
            assert waits.wait(PATIENCE)
            for name, seconds in (("soon", 0.4), ("late", 0.2)):
                now[0] += seconds
                small = Request(turns, log, name)
                assert small.waits.wait(PATIENCE)
                threads.append(small)
        for thread in threads:
            thread.join(PATIENCE)
    assert log == ["soon", "large", "late"]


def test_exactly_the_limit_runs_at_once() -> None:
    turns, inside, most = Turns(3), list[int](), list[int]()
    barrier = threading.Barrier(3, action=lambda: most.append(len(inside)))

    def work() -> None:
        with turns.request(never) as turn, turn():
            inside.append(1)
            barrier.wait(PATIENCE)  # three must be inside together, or it breaks
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert most == [3, 3, 3]


def test_a_request_cancelled_while_waiting_does_not_block_the_others() -> None:
    turns, log = Turns(1), list[str]()
    with turns.request(never) as holder, holder():
        gone = Request(turns, log, "gone", cancel=True)
        gone.join(PATIENCE)
        stays = Request(turns, log, "stays")
        assert stays.waits.wait(PATIENCE)
        assert log == ["gone cancelled"]
    stays.join(PATIENCE)
    assert log == ["gone cancelled", "stays"]


@pytest.mark.parametrize(("at_once", "alone"), [(1, [True]), (2, [True, False]), (8, [True] * 4 + [False])])
def test_only_a_few_requests_may_use_every_core(at_once: int, alone: list[bool]) -> None:
    turns = Turns(at_once)
    found = []
    with ExitStack() as requests:
        for _ in alone:
            turn = requests.enter_context(turns.request(never))
            with turn() as every_core:
                found.append(every_core)
    assert found == alone
    with turns.request(never) as turn, turn() as every_core:
        assert every_core


def test_a_failed_run_gives_its_turn_back() -> None:
    turns = Turns(1)

    def fail() -> None:
        with turns.request(never) as turn, turn():
            raise CancelledError

    runs: list[Callable[[], None]] = [fail, fail]
    for run in runs:
        with pytest.raises(CancelledError):
            run()
