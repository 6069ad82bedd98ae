"""`python -m serving.torchserve.start` as an operator meets it: real processes, from start to stop."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import engines
import needs
import psutil
import pytest
import requests
import yaml
from raw_requests import codes_of_clients_during_a_stop
from requests_in_flight import PATIENCE, until
from sample_pictures import encode, encode_mask, face, scratch
from torchserve_process import Started, started

from serving.core.errors import StartupError
from serving.torchserve import start as start_module
from serving.torchserve.instance import Instance
from serving.torchserve.options import parse_options

pytestmark = pytest.mark.engines

LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1"}


@pytest.fixture(scope="module", autouse=True)
def _java() -> None:
    needs.java()


Refused = Callable[..., None]


@pytest.fixture
def assert_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Check that a start with these flags ends with 1 before it has started anything, and says why in one line."""
    monkeypatch.setattr("signal.signal", lambda *_: None)  # pytest's own handlers stay

    def check(flags: list[str], *words: str, **environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert start_module.main(flags) == 1
        output, errors = capsys.readouterr()
        assert output == ""
        (line,) = errors.splitlines()
        assert line.startswith("error: ")
        for word in words:
            assert word in line

    return check


@pytest.fixture(scope="module")
def running(mar: Path) -> Iterator[Started]:
    """One that is ready."""
    with started("--mar", str(mar), "--workers", "2") as start:
        start.wait_until_ready()
        yield start


def test_says_ready_when_it_is_and_how_to_try_it(running: Started) -> None:
    assert running.predict().status_code == 200  # without waiting: the line was printed, so the model answers
    assert [worker["status"] for worker in running.model()["workers"]] == ["READY", "READY"]
    until(lambda: len(running.output) == 3)
    ready, curl, sdk = running.output
    assert ready.startswith("ready: inpaint ")
    assert running.url in ready
    assert "2 workers" in ready
    assert f"{running.url}/predictions/inpaint" in curl
    assert f"--url {running.url}" in sdk
    assert running.errors == [f"Starting TorchServe, {ready[ready.index('(') + 1 : ready.index(')')]} ...\n"]


def test_the_curl_line_works_as_printed(running: Started, tmp_path: Path) -> None:
    until(lambda: len(running.output) == 3)
    (tmp_path / "photo.jpg").write_bytes(encode(face(), "JPEG"))
    (tmp_path / "mask.png").write_bytes(encode_mask(scratch(178, 178, 9)))
    subprocess.run(running.output[1], shell=True, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "filled.png").read_bytes().startswith(b"\x89PNG")


def test_only_loopback_listens(running: Started) -> None:
    processes = psutil.Process(running.process.pid), running.java()
    connections = [c for process in processes for c in process.net_connections("tcp")]
    listening = [c.laddr for c in connections if c.status == psutil.CONN_LISTEN]
    assert {running.port, running.port + 1, running.port + 2} <= {address.port for address in listening}
    assert {address.ip for address in listening} <= LOOPBACK


def test_models_cannot_be_registered_or_deleted(running: Started) -> None:
    management = f"http://127.0.0.1:{running.port + 1}"
    url = f"file://{running.temporary}/evil.mar"
    assert requests.post(f"{management}/models", params={"url": url}, timeout=PATIENCE).status_code == 405
    assert requests.delete(f"{management}/models/inpaint", timeout=PATIENCE).status_code == 405
    assert running.predict().status_code == 200


def test_management_tells_where_the_model_comes_from(running: Started) -> None:
    url = f"http://127.0.0.1:{running.port + 1}/models/inpaint?customized=true"
    answer = requests.get(url, timeout=PATIENCE)
    assert answer.status_code == 200
    assert "checkpoint_sha256" in answer.json()[0]["customizedMetadata"]


def test_requests_leave_no_line_in_the_log(running: Started) -> None:
    before = list(running.errors)
    assert running.predict().status_code == 200
    assert requests.post(f"{running.url}/predictions/inpaint", data=b"?", timeout=PATIENCE).status_code == 415
    assert requests.get(f"{running.url}/nowhere", timeout=PATIENCE).status_code == 404
    assert running.errors == before


def test_a_killed_worker_is_replaced(running: Started) -> None:
    victim = running.model()["workers"][0]["pid"]
    assert victim in {process.pid for process in running.family()}
    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        workers = running.model()["workers"]
        return victim not in {w["pid"] for w in workers} and all(w["status"] == "READY" for w in workers)

    until(replaced)
    assert {running.predict().status_code for _ in range(4)} == {200}


def test_a_worker_that_is_slow_to_start_counts_and_it_ends_when_workers_die_again_and_again(
    mar: Path,
) -> None:
    options = parse_options(["--mar", str(mar), "--workers", "1", "--port", str(engines.free_port(2))])
    java = shutil.which("java")
    assert java
    given_up = pytest.raises(StartupError, match="Every worker died")
    with given_up, Instance(options, java) as instance, ThreadPoolExecutor(1) as pool:
        until(instance.workers_ready)
        (process,) = (child for child in psutil.Process().children() if child.name() == "java")
        (victim,) = process.children()
        victim.kill()
        until(lambda: process.children() not in ([], [victim]))
        (successor,) = process.children()
        successor.suspend()
        assert instance.has_workers()
        assert not instance.workers_ready()
        successor.resume()
        until(instance.workers_ready)
        stop = threading.Event()
        watching = pool.submit(start_module._watch, instance, stop)

        def ended() -> bool:
            for worker in process.children():
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            return watching.done()

        try:
            until(ended)
        finally:
            stop.set()
        watching.result()
    assert not process.is_running()


class Workers:
    """Stands in for an instance: each poll takes the next answer to whether it has workers; then it is stopped."""

    running, forward = True, False

    def __init__(self, *answers: bool) -> None:
        self.answers, self.clock = list(answers), 0.0

    def has_workers(self) -> bool:
        return self.answers.pop(0)

    def last_line(self) -> str:
        return ""

    def wait(self, seconds: float) -> bool:
        self.clock += seconds
        return not self.answers


@pytest.mark.parametrize(
    ("answers", "ends"),
    [
        ([True] * 5, False),
        (([True] + [False] * 19) * 3, False),  # none for less than ten seconds each time
        ([True] + [False] * 21, True),
    ],
    ids=["there", "back-in-time", "given-up"],
)
def test_it_ends_when_there_was_no_worker_for_ten_seconds(
    answers: list[bool], ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: Any = Workers(*answers)
    monkeypatch.setattr("time.monotonic", lambda: workers.clock)
    with pytest.raises(StartupError, match="Every worker died") if ends else nullcontext():
        start_module._watch(workers, workers)
    assert workers.answers == []


def test_it_fills_and_ends_with_java_on_systems_with_less_than_linux_has(
    mar: Path, another_system: dict[str, str]
) -> None:
    with started("--mar", str(mar), "--workers", "1", environment=another_system) as process:
        process.wait_until_ready()
        assert process.predict().status_code == 200
        family = process.family()
        process.java().kill()
        assert process.finish() == 1
        assert process.errors[-1].startswith("error: TorchServe exited unexpectedly")
        assert not [member for member in family if member.is_running()]
        assert list(process.temporary.iterdir()) == []


@pytest.mark.parametrize("offset", [0, 1, 2], ids=["predictions", "management", "metrics"])
def test_an_address_that_is_taken_is_one_line(offset: int, mar: Path, assert_refused: Refused) -> None:
    port = engines.free_port(following=2)
    with socket.create_server(("127.0.0.1", port + offset)):
        assert_refused(["--mar", str(mar), "--port", str(port)], f"127.0.0.1:{port + offset}", "--port")


def test_sigterm_answers_what_is_in_flight_beside_another_instance(running: Started, mar: Path) -> None:
    with started("--mar", str(mar), "--workers", "1", "--graceful-seconds", str(PATIENCE)) as second:
        second.wait_until_ready()
        family = second.family()
        assert {"java"} < {process.name() for process in family}
        codes: list[int] = []
        before = second.asked()
        # One runs in the worker, one is in the queue.
        clients = [
            threading.Thread(target=lambda: codes.append(second.predict(1000).status_code)) for _ in range(2)
        ]
        for client in clients:
            client.start()
        until(lambda: (second.asked(), second.waiting()) == (before + 2, 1))
        second.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join(PATIENCE)
        assert codes == [200, 200]
        assert second.finish() == 0
        assert not [process for process in family if process.is_running()]
        assert list(second.temporary.iterdir()) == []
    assert running.predict().status_code == 200


def test_a_stop_under_200_clients_answers_every_request_that_was_sent(mar: Path) -> None:
    with started("--mar", str(mar)) as start:
        start.wait_until_ready()
        stop = partial(start.process.send_signal, signal.SIGTERM)
        codes = codes_of_clients_during_a_stop(start.url, 200, stop)
        assert start.finish() == 0
    assert set(codes) == {200, 503}


def test_a_second_signal_does_not_wait(mar: Path) -> None:
    with started("--mar", str(mar), "--workers", "1", "--graceful-seconds", "3600") as start:
        start.wait_until_ready()
        family = start.family()
        outcomes: list[int | str] = []

        def predict() -> None:
            try:
                outcomes.append(start.predict(3000).status_code)
            except requests.ConnectionError:
                outcomes.append("cut off")

        before = start.asked()
        client = threading.Thread(target=predict)
        client.start()
        until(lambda: (start.asked(), start.waiting()) == (before + 1, 0))
        start.process.send_signal(signal.SIGINT)
        until(lambda: any(line.startswith("Stopping") for line in start.errors))
        start.process.send_signal(signal.SIGINT)
        assert start.finish() == 0
        client.join(PATIENCE)
        assert outcomes[0] in (500, 503, "cut off")  # whether java or the worker goes first
        assert not [process for process in family if process.is_running()]
        assert list(start.temporary.iterdir()) == []


def test_sigterm_before_it_is_ready_leaves_nothing(mar: Path) -> None:
    with started("--mar", str(mar)) as start:
        until(lambda: "java" in {process.name() for process in start.family()})
        family = start.family()
        start.process.send_signal(signal.SIGTERM)
        assert start.finish() == 0
        assert not [process for process in family if process.is_running()]
        assert start.output == []
        assert list(start.temporary.iterdir()) == []


def test_a_model_that_cannot_be_loaded_is_one_line(mar: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mar"
    with zipfile.ZipFile(mar) as good, zipfile.ZipFile(broken, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, b"no model" if name.endswith(".onnx") else good.read(name))
    with started("--mar", str(broken)) as start:
        assert start.finish() == 1
        starting, error = start.errors
        assert starting.startswith("Starting")
        assert error.startswith("error: The model cannot be loaded: ")
        assert "inpaint-int8.onnx is not a model that ONNX Runtime can load" in error
        assert list(start.temporary.iterdir()) == []


def test_a_missing_archive_is_one_line(tmp_path: Path, assert_refused: Refused) -> None:
    assert_refused(["--mar", str(tmp_path / "none.mar")], "none.mar", "python -m export mar")


@pytest.mark.parametrize("member", [None, "readme.txt", "MAR-INF/MANIFEST.json"])
def test_a_file_that_is_no_archive_is_one_line(
    member: str | None, tmp_path: Path, assert_refused: Refused
) -> None:
    file = tmp_path / "other.mar"
    file.write_bytes(b"no archive")
    if member:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(member, b"{}")
    assert_refused(["--mar", str(file)], "other.mar", "python -m export mar")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "65534"], ["--port", "65534", "65533"]),
        (["--workers", "-1"], ["--workers", "-1"]),
        (["--threads", "9999"], ["--threads", "1024"]),
        (["--host", "192.0.2.1"], ["192.0.2.1", "--host"]),  # reserved for documentation: nobody has it
        (["--host", "no such host"], ["no such host", "--host"]),
    ],
    ids=lambda value: value[0],
)
def test_a_wrong_flag_is_one_line(
    flags: list[str], words: list[str], mar: Path, assert_refused: Refused
) -> None:
    assert_refused(["--mar", str(mar), "--port", str(engines.free_port(2)), *flags], *words)


def test_no_java_is_one_line(mar: Path, tmp_path: Path, assert_refused: Refused) -> None:
    assert_refused(["--mar", str(mar)], "java", "PATH", "OpenJDK", PATH=str(tmp_path), JAVA_HOME="")
    assert_refused(["--mar", str(mar)], "java", str(tmp_path), "OpenJDK", JAVA_HOME=str(tmp_path))


def test_an_old_java_is_one_line(mar: Path, tmp_path: Path, assert_refused: Refused) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    assert_refused(["--mar", str(mar)], "1.8.0_402", "Java 11", JAVA_HOME=str(tmp_path))


def test_the_plain_way_runs_what_the_archive_holds(mar: Path, tmp_path: Path) -> None:
    """`torchserve --start` as its documentation describes it, from a folder with nothing but the archive."""
    settings = engines.ROOT / "serving" / "torchserve"
    port = engines.free_port(following=2)
    config = (settings / "config.properties").read_text()
    for offset in range(3):
        config = config.replace(f":{8080 + offset}\n", f":{port + offset}\n")
    (tmp_path / "config.properties").write_text(config)
    (tmp_path / "store").mkdir()
    shutil.copy(mar, tmp_path / "store")
    temporary = Path(tmp_path.parent.parent, "plain")  # short, for the sockets in it
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    process = subprocess.Popen(
        [
            *(Path(sys.executable).with_name("torchserve"), "--start", "--ncs", "--foreground"),
            *("--model-store", "store", "--models", "inpaint=inpaint.mar"),
            *("--ts-config", "config.properties", "--log-config", settings / "log4j2.xml"),
        ],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "TMPDIR": str(temporary),
            "TEMP": str(temporary),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        files = {"image": encode(face()), "mask": encode_mask(scratch(178, 178, 9))}

        def answered() -> bool:
            assert process.poll() is None
            try:
                url = f"http://127.0.0.1:{port}/predictions/inpaint"
                return requests.post(url, files=files, timeout=PATIENCE).ok
            except requests.ConnectionError:
                return False

        until(answered)
        (java,) = psutil.Process(process.pid).children()
        listening = [c.laddr for c in java.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert {address.ip for address in listening} <= LOOPBACK
        url = f"http://127.0.0.1:{port + 1}/models/inpaint"
        (description,) = requests.get(url, timeout=PATIENCE).json()
        config = yaml.safe_load((settings / "model-config.yaml").read_bytes())
        assert {key: value for key, value in config.items() if description.get(key, value) != value} == {}
        assert {"minWorkers", "maxWorkers", "batchSize", "responseTimeout", "maxRetryTimeoutInSec"} <= set(
            description
        )
        metrics = requests.get(f"http://127.0.0.1:{port + 2}/metrics", timeout=PATIENCE)
        assert "ts_inference_requests_total" in metrics.text
        # Python writes bytecode beside the modules it imports.
        (model,) = (temporary / "models").iterdir()
        compiled = {file.name.partition(".")[0] for file in model.glob("serving/core/__pycache__/*.pyc")}
        assert {"contract", "pipeline", "runtime"} <= compiled
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
