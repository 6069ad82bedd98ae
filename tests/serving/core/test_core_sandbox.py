"""A process per call: what comes back, what is limited, and what a crash costs."""

import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import sandbox_functions as functions
from requests_in_flight import until

from serving.core.errors import InvalidImageError
from serving.core.sandbox import Sandbox, SandboxedCallError


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        sandbox = Sandbox(["sandbox_functions"])
        sandbox.start()
        yield sandbox
        family = processes(sandbox)
        sandbox.close()
    until(lambda: not any(process.is_running() for process in family))


def processes(sandbox: Sandbox) -> list[psutil.Process]:
    """The process that the sandbox has started, and its children."""
    assert sandbox._process is not None
    parent = psutil.Process(sandbox._process.pid)
    return [parent, *parent.children(recursive=True)]


def test_facts_and_arrays_come_back(sandbox: Sandbox) -> None:
    blobs = [bytes([0, 1, 255]), bytes(range(256)) * 10_000]
    result = sandbox.run(functions.double, *blobs, seconds=30)
    assert result.facts == {"count": 2}
    for number, blob in enumerate(blobs):
        array = result.arrays[f"double-{number}"]
        assert array.dtype == np.uint16
        np.testing.assert_array_equal(array[:, 0], np.frombuffer(blob, np.uint8) * np.uint16(2))
    np.testing.assert_array_equal(result.arrays["first"], [[1.5, 2.5]])


def test_arrays_outlive_the_process_and_cannot_be_written(sandbox: Sandbox) -> None:
    array = sandbox.run(functions.double, b"abc", seconds=30).arrays["double-0"]
    sandbox.run(functions.double, b"def", seconds=30)
    assert array[:, 0].tolist() == [2 * ord(letter) for letter in "abc"]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_call_finds_nothing_of_another_call(sandbox: Sandbox) -> None:
    for secret in (b"one", b"two", b"three"):
        assert sandbox.run(functions.remember, secret, seconds=30).facts == ["warm", secret.decode()]


def test_calls_at_the_same_time_each_get_their_own_result(sandbox: Sandbox) -> None:
    def call(number: int) -> bool:
        blob = bytes([number]) * 100_000
        return bool((sandbox.run(functions.double, blob, seconds=30).arrays["double-0"] == 2 * number).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(40)))


def test_an_error_of_the_contract_is_raised_as_it_is(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidImageError, match=r"The image is refused\."):
        sandbox.run(functions.refuse, seconds=30)


@pytest.mark.parametrize("function", [functions.crash, functions.raise_unknown, functions.answer_too_large])
def test_a_crash_costs_one_call(sandbox: Sandbox, function: object) -> None:
    for _ in range(3):
        with pytest.raises(SandboxedCallError) as caught:
            sandbox.run(function, seconds=30)  # type: ignore[arg-type]
        assert not caught.value.timed_out
    assert sandbox.run(functions.double, b"a", seconds=30).facts == {"count": 1}


def test_cpu_time_is_limited(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxedCallError):
        sandbox.run(functions.loop, b"1", seconds=60)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce RLIMIT_AS")
def test_memory_is_limited(sandbox: Sandbox) -> None:
    assert sandbox.run(functions.allocate, b"50", seconds=30).facts == str(50 * 2**20)
    assert sandbox.run(functions.allocate, b"200", seconds=30).facts == "refused"


def test_wall_time_is_limited(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxedCallError) as caught:
        sandbox.run(functions.sleep, seconds=0.2)
    assert caught.value.timed_out


class GoneError(Exception):
    pass


def test_a_checkpoint_that_raises_kills_the_process(sandbox: Sandbox) -> None:
    gone = threading.Event()

    def checkpoint() -> None:
        if gone.is_set():
            raise GoneError

    before = set(processes(sandbox))
    threading.Timer(0.3, gone.set).start()
    with pytest.raises(GoneError):
        sandbox.run(functions.sleep, seconds=60, checkpoint=checkpoint)
    until(lambda: len(before - set(processes(sandbox))) >= 1)
    assert sandbox.run(functions.double, b"a", seconds=30).facts == {"count": 1}


def test_it_is_restarted_after_it_was_killed(sandbox: Sandbox) -> None:
    first = sandbox.run(functions.own_pid, seconds=30).facts
    parent = processes(sandbox)[0]
    parent.kill()
    until(lambda: parent.status() == psutil.STATUS_ZOMBIE)
    assert sandbox.run(functions.own_pid, seconds=60).facts != first


def test_it_ends_with_its_caller(tmp_path: Path) -> None:
    """Even if the caller is killed and cannot clean up."""
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
os.environ["PYTHONPATH"] = {str(Path(__file__).parent)!r}
import sandbox_functions
from serving.core.sandbox import Sandbox
sandbox = Sandbox(["sandbox_functions"])
sandbox.run(sandbox_functions.own_pid, seconds=60)
print("ready", flush=True)
sys.stdin.read()
"""
    with psutil.Popen(
        [sys.executable, "-c", script], stdin=-1, stdout=-1, cwd=Path(__file__).parents[3]
    ) as caller:
        assert caller.stdout.readline() == b"ready\n"
        family = caller.children(recursive=True)
        assert len(family) >= 2
        caller.send_signal(signal.SIGKILL)
        caller.wait()
        until(lambda: not any(process.is_running() for process in family))


def test_signals_to_the_whole_group_do_not_end_it(sandbox: Sandbox) -> None:
    """Ctrl-C in a terminal reaches all processes; the server then finishes its requests."""
    sandbox.run(functions.own_pid, seconds=60)
    family = processes(sandbox)
    for process in family:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
    assert sandbox.run(functions.double, b"a", seconds=30).facts == {"count": 1}
    assert family[0].is_running()
