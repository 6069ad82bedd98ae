"""The server as a process: how it starts, refuses to start, fills up, and stops."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import engines
import psutil
import pytest
import requests
import sample_pictures
from raw_requests import codes_of_clients_during_a_stop, connect, prediction
from requests_in_flight import PATIENCE, PREDICT, large, post, small, until
from sample_pictures import decode_rgba
from server_metrics import metrics

pytestmark = pytest.mark.engines

ONE_LARGE = ("--concurrency", "1", "--queue-size", "1", "--max-pixels", "1000000")
"""Flags that let one large request run (there are pixels for only one) and another wait, and no more."""


def load(url: str) -> tuple[float, float]:
    """How many predictions are running and waiting, according to the server's metrics."""
    now = metrics(url)
    return now["inpaint_predictions_running"], now["inpaint_predictions_waiting"]


@contextmanager
def launched(*flags: str, **environment: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The server on any free port, and its URL, which it prints."""
    command = [sys.executable, "-m", "serving", "--port", "0", *flags]
    environment = {**os.environ, **environment}
    with subprocess.Popen(
        command,
        cwd=engines.ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout
            found = re.search(r" at (http://\S+) ", process.stdout.readline())
            assert found
            yield found[1], process
        finally:
            process.terminate()


def refused(*flags: str) -> str:
    """What the server says when it does not start."""
    command = [sys.executable, "-m", "serving", *flags]
    result = subprocess.run(command, cwd=engines.ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 1
    assert not result.stdout
    return result.stderr


def test_it_says_how_to_try_it_and_that_works(tmp_path: Path) -> None:
    """The printed curl line, run by a shell."""
    with launched() as (url, process):
        assert process.stdout
        curl, client = process.stdout.readline().strip(), process.stdout.readline().strip()
        for name, file in (("photo.jpg", small()["image"]), ("mask.png", small()["mask"])):
            (tmp_path / name).write_bytes(file)
        subprocess.run(["bash", "-c", curl], cwd=tmp_path, check=True, capture_output=True)
        assert decode_rgba((tmp_path / "filled.png").read_bytes()).shape == (64, 64, 4)
        assert client.endswith(f"inpaint fill photo.jpg mask.png -o filled.png --url {url}")
        (tmp_path / "filled.png").unlink()
        subprocess.run(["bash", "-c", client], cwd=tmp_path, check=True, capture_output=True)
        assert decode_rgba((tmp_path / "filled.png").read_bytes()).shape == (64, 64, 4)


def test_it_fills_on_systems_with_less_than_linux_has(another_system: dict[str, str]) -> None:
    photo, hole = sample_pictures.face(64, 64), sample_pictures.scratch(64, 64, 3)
    tiff = {
        "image": sample_pictures.encode(photo, "TIFF"),
        "mask": sample_pictures.encode_mask(hole),
    }
    with launched(**another_system) as (url, _):
        assert post(url, small()).ok
        assert post(url, tiff).ok  # on Linux and macOS it is decoded in a process of its own


def test_it_needs_no_torch_and_little_memory(onnx_engine: engines.Engine) -> None:
    assert post(onnx_engine.url, small()).ok
    libraries = {Path(entry.path).name for entry in onnx_engine.processes()[1].memory_maps()}
    assert any("onnxruntime" in name for name in libraries)
    assert not any("torch" in name for name in libraries)
    assert onnx_engine.rss() < 700_000_000  # including a second, one-thread session for when it is under load


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model", "nowhere.onnx"], r"There is no model file nowhere\.onnx"),
        (["--model", "pyproject.toml"], r"pyproject\.toml is not a model"),
        (["--require-gpu"], "No GPU runs the model.*CPUExecutionProvider"),
        (["--port", "99999"], "--port.*65535"),
        (["--host", "192.0.2.1"], r"Cannot listen on 192\.0\.2\.1"),
        (["--host", "no.such.host.invalid"], "Cannot listen on"),
        (["--api-key", "secret"], "INPAINT_API_KEY"),
    ],
)
def test_it_refuses_to_start_in_one_line(flags: list[str], words: str) -> None:
    message = refused(*(["--port", "0"] if "--port" not in flags else []), *flags)
    assert message.count("\n") == 1
    assert message.startswith("serving: ")
    assert re.search(words, message)


def test_it_refuses_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = refused("--port", str(port))
        assert re.search(rf"Cannot listen on 127\.0\.0\.1:{port}.*another --port", message)
        assert message.count("\n") == 1


def test_the_environment_may_ask_for_a_key() -> None:
    with launched(INPAINT_API_KEY="open sesame") as (url, _):
        assert requests.get(f"{url}/ping", timeout=PATIENCE).ok
        assert post(url, small()).status_code == 401
        assert post(url, small(), Authorization="Bearer open sesam").status_code == 401
        assert post(url, small(), Authorization="Bearer open sesame").status_code == 200


def test_a_stop_answers_what_is_in_flight() -> None:
    with (
        launched(*ONE_LARGE, "--graceful-seconds", str(PATIENCE)) as (url, process),
        ThreadPoolExecutor(2) as pool,
    ):
        running = pool.submit(post, url, large())
        until(lambda: load(url) == (1, 0))
        waiting = pool.submit(post, url, large())
        until(lambda: load(url) == (1, 1))
        process.send_signal(signal.SIGTERM)
        assert running.result().status_code == 200
        assert waiting.result().status_code == 200
        process.wait(PATIENCE)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/ping", timeout=PATIENCE)


def test_a_full_queue_is_told_at_once_and_when_to_come_back(tmp_path: Path) -> None:
    with engines.onnx_server(tmp_path, *ONE_LARGE) as engine, ThreadPoolExecutor(2) as pool:
        running = pool.submit(post, engine.url, large())
        until(lambda: load(engine.url) == (1, 0))
        waiting = pool.submit(post, engine.url, large())
        until(lambda: load(engine.url) == (1, 1))
        for path in (PREDICT, "/v2/models/inpaint/infer"):
            answer = requests.post(engine.url + path, files=small(), timeout=PATIENCE)
            assert answer.status_code == 503
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert not running.done()  # nobody waited for it
        assert requests.get(f"{engine.url}/ping", timeout=PATIENCE).ok
        assert running.result().status_code == waiting.result().status_code == 200
        assert post(engine.url, small()).status_code == 200


@contextmanager
def asked(url: str, files: dict[str, bytes]) -> Iterator[None]:
    """Send a request, and hang up at the end of the block."""
    with connect(url, prediction(url, files)):
        yield


def test_a_stop_under_200_clients_answers_every_request_that_was_sent() -> None:
    with launched("--log-level", "error") as (url, process):
        codes = codes_of_clients_during_a_stop(url, 200, lambda: process.send_signal(signal.SIGTERM))
        assert process.wait(PATIENCE) == 0
    assert set(codes) == {200, 503}


def server_process(process: "subprocess.Popen[str]") -> psutil.Process:
    return psutil.Process(process.pid).children()[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_server_that_crashes_is_started_again_while_clients_wait(number: int) -> None:
    with launched("--log-level", "error") as (url, process):
        crashed = server_process(process)
        crashed.send_signal(number)
        crashed.wait(PATIENCE)  # a request that it had already received would be lost with it
        assert post(url, small()).status_code == 200
        assert server_process(process) != crashed
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_the_server_stops_when_its_supervisor_is_killed() -> None:
    with launched() as (url, process):
        server = server_process(process)
        process.kill()
        server.wait(PATIENCE)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/ping", timeout=PATIENCE)


def test_a_client_that_hangs_up_in_the_queue_makes_room(tmp_path: Path) -> None:
    with engines.onnx_server(tmp_path, *ONE_LARGE) as engine, ThreadPoolExecutor(2) as pool:
        running = pool.submit(post, engine.url, large())
        until(lambda: load(engine.url) == (1, 0))
        with asked(engine.url, large()):
            until(lambda: load(engine.url) == (1, 1))
        until(lambda: load(engine.url) == (1, 0))
        assert not running.done()
        assert running.result().status_code == 200
        assert "Traceback" not in engine.log.read_text()


def test_a_client_that_hangs_up_is_not_worked_for_any_longer(tmp_path: Path) -> None:
    finished = 'inpaint_stage_seconds_count{model="inpaint",stage="encode"}'
    labels = 'code="499",method="POST",model="inpaint",path="/predictions/{model}"'
    broken_off = f"inpaint_http_requests_total{{{labels}}}"
    with engines.onnx_server(tmp_path) as engine:
        before = metrics(engine.url)[finished]
        with asked(engine.url, large()):
            until(lambda: load(engine.url) == (1, 0))
        until(lambda: metrics(engine.url).get(broken_off) == 1)
        assert load(engine.url) == (0, 0)
        assert metrics(engine.url)[finished] == before
        assert post(engine.url, small()).status_code == 200
        assert "Traceback" not in engine.log.read_text()
