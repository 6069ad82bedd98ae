"""Engines that are down, hang, break off or move; several engines; and a stop while a request is in flight."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from engines import Engine, free_port, onnx_server
from nginx_requests import INFER, assert_error, fill, post
from proxies import START, nginx
from requests_in_flight import PATIENCE, PREDICT, large, until
from server_metrics import metrics

pytestmark = pytest.mark.engines


@contextmanager
def listener(answer: Callable[[socket.socket], object], port: int = 0) -> Iterator[str]:
    """Something that accepts connections but is not an engine. Yields its address."""
    server = socket.create_server(("127.0.0.1", port))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        server.close()


def running(engine: Engine) -> float:
    return metrics(engine.url)["inpaint_predictions_running"]


def answered(engine: Engine) -> float:
    labels = 'code="200",method="POST",model="inpaint",path="/predictions/{model}"'
    line = f"inpaint_http_requests_total{{{labels}}}"
    return metrics(engine.url).get(line, 0)


@pytest.fixture(scope="module")
def second_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with onnx_server(tmp_path_factory.mktemp("second")) as engine:
        yield engine


@pytest.mark.parametrize("path", [PREDICT, INFER, "/ping"])
def test_an_engine_that_is_down_is_a_502_that_says_when_to_come_back(path: str) -> None:
    with nginx(f"127.0.0.1:{free_port()}") as proxy:
        answer = post(proxy.url + path, data=b"x")
        assert_error(answer, 502, "BadGatewayException", "try again")
        assert int(answer.headers["Retry-After"]) >= 1


def test_it_waits_as_long_as_torchserve_does(torchserve_engine: Engine) -> None:
    management = f"http://127.0.0.1:{torchserve_engine.port + 1}/models/inpaint"
    (description,) = requests.get(management, timeout=PATIENCE).json()
    with nginx(f"127.0.0.1:{torchserve_engine.port}") as proxy:
        running = "".join(file.read_text() for file in (proxy.folder / "run").rglob("*.conf"))
    assert f"proxy_read_timeout {description['responseTimeout']}s;" in running


def test_an_engine_that_hangs_is_a_504() -> None:
    over = threading.Event()
    with listener(lambda _: over.wait(PATIENCE)) as address:
        with nginx(address, read_seconds="1") as proxy:
            assert_error(fill(proxy.url), 504, "GatewayTimeoutException", "1 seconds")
        over.set()


def test_a_dead_engine_is_passed_over(onnx_engine: Engine) -> None:
    with nginx(f"127.0.0.1:{free_port()}", f"127.0.0.1:{onnx_engine.port}") as proxy:
        assert {fill(proxy.url).status_code for _ in range(6)} == {200}


def test_engines_that_are_back_are_asked_at_once() -> None:
    """However often they failed before, and even if all of them did."""
    ports = [free_port(), free_port()]

    def healthy(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with nginx(*(f"127.0.0.1:{port}" for port in ports)) as proxy:
        assert {requests.get(f"{proxy.url}/ping", timeout=PATIENCE).status_code for _ in range(20)} == {502}
        with listener(healthy, ports[0]):
            assert {requests.get(f"{proxy.url}/ping", timeout=PATIENCE).status_code for _ in range(20)} == {
                200
            }


def test_a_request_that_an_engine_broke_off_at_is_not_given_to_the_next(onnx_engine: Engine) -> None:
    """A picture that kills one engine must not go on to kill the others."""
    hits: list[bytes] = []

    def read_and_hang_up(connection: socket.socket) -> None:
        hits.append(connection.recv(100))

    before = answered(onnx_engine)
    with listener(read_and_hang_up) as address, nginx(address, f"127.0.0.1:{onnx_engine.port}") as proxy:
        answers = [fill(proxy.url) for _ in range(4)]
    assert hits
    for answer in answers:
        if answer.status_code != 200:
            assert_error(answer, 502, "BadGatewayException", "closed the connection")
    assert len([answer for answer in answers if answer.ok]) == answered(onnx_engine) - before == 4 - len(hits)


def test_of_two_engines_the_less_busy_one_is_asked(onnx_engine: Engine, second_engine: Engine) -> None:
    engines = (onnx_engine, second_engine)
    with nginx(*(f"127.0.0.1:{engine.port}" for engine in engines), workers="1") as proxy:
        before = [answered(engine) for engine in engines]
        with ThreadPoolExecutor(2) as pool:
            slow = [pool.submit(post, proxy.url + PREDICT, files=large()) for _ in engines]
            until(lambda: [running(engine) for engine in engines] == [1, 1])
            assert all(answer.result().ok for answer in slow)
        assert [answered(engine) for engine in engines] == [count + 1 for count in before]


def test_a_stop_answers_what_is_in_flight(onnx_engine: Engine) -> None:
    with nginx(f"127.0.0.1:{onnx_engine.port}") as proxy, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, proxy.url + PREDICT, files=large())
        until(lambda: running(onnx_engine) == 1)
        proxy.process.send_signal(signal.SIGQUIT)
        assert answer.result().ok
        assert proxy.process.wait(PATIENCE) == 0
        with pytest.raises(requests.ConnectionError):
            fill(proxy.url)


@pytest.mark.skipif(os.getuid() != 0, reason="gives nginx a file of host names of its own, which needs root")
def test_an_engine_that_comes_back_at_another_address_is_found(onnx_engine: Engine, tmp_path: Path) -> None:
    hosts, port, run = tmp_path / "hosts", free_port(), Path("/tmp", f"inpaint-moved-{os.getpid()}")
    hosts.write_text("127.0.0.9 engine.test\n")  # nobody is there
    settings = {
        "PROXY_ENGINES": f"engine.test:{onnx_engine.port}",
        "PROXY_PORT": f"127.0.0.1:{port}",
        "PROXY_RUN": str(run),
        "PROXY_ACCESS_LOG": "/dev/null",
        "PROXY_RESOLVE_SECONDS": "0.1",
    }
    command = f'mount --bind "{hosts}" /etc/hosts && exec "{START}"'
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", command], env={**os.environ, **settings}, start_new_session=True
    )
    try:
        url = f"http://127.0.0.1:{port}"

        def code() -> int:
            try:
                return fill(url).status_code
            except requests.ConnectionError:
                return 0

        until(lambda: code() == 502)
        hosts.write_text("127.0.0.1 engine.test\n")
        until(lambda: code() == 200)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        shutil.rmtree(run)
