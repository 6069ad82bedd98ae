"""Requests byte by byte, as no HTTP library would send them: slow, incomplete, endless."""

import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse

import requests
from requests_in_flight import PATIENCE, PREDICT, small, until

POST = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n"

NOT_ARRIVING = {
    "head": (POST, 408, "headers"),
    "body": (f"{POST}Content-Length: 1000\r\n\r\n{{", 408, "too slowly"),
    "chunked": (f"{CHUNKED}5\r\nhello\r\n", 408, "too slowly"),
    "long-header": (f"GET /ping HTTP/1.1\r\nX: {'x' * 70_000}", 400, "too long"),
    "long-headers": (f"GET /ping HTTP/1.1\r\n{'X: y' * 20_000}", 400, "too long"),
}
"""Requests whose rest never arrives: what is sent, the status code, and words of the message."""


def connect(url: str, sent: str | bytes = b"") -> socket.socket:
    """Connect to a server, and send something."""
    connection = socket.create_connection(address(url), timeout=PATIENCE)
    connection.sendall(sent.encode() if isinstance(sent, str) else sent)
    return connection


def address(url: str) -> tuple[str, int]:
    """The host and port of a URL."""
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def answer(connection: socket.socket) -> tuple[int, dict[str, object], HTTPResponse]:
    """Receive an answer: its status code, its content, and the response itself."""
    response = HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read()), response


def sends(connection: socket.socket, data: bytes) -> bool:
    """Send something, and tell whether the server is still there."""
    try:
        connection.sendall(data)
    except ConnectionError:
        return False
    return True


def assert_closed(connection: socket.socket) -> None:
    """Check that nothing more is received."""
    assert connection.recv(1) == b""


def prediction(url: str, files: dict[str, bytes]) -> bytes:
    """A request to fill a picture, as it is sent."""
    request = requests.Request("POST", url + PREDICT, files=files).prepare()
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    lines = [f"POST {PREDICT} HTTP/1.1", f"Host: {address(url)[0]}", *headers, "", ""]
    assert isinstance(request.body, bytes)
    return "\r\n".join(lines).encode() + request.body


def codes_of_clients_during_a_stop(url: str, clients: int, stop: Callable[[], object]) -> list[int]:
    """Have clients send requests, each on a connection of its own, until the server is gone.

    Raises:
        OSError, HTTPException: a request that was sent was not answered.
    """
    codes: list[int] = []
    request, together = prediction(url, small()), threading.Barrier(clients)

    def client(_: int) -> None:
        together.wait()
        while True:
            try:
                connection = socket.create_connection(address(url), PATIENCE)
            except ConnectionRefusedError:  # nothing was sent
                return
            with connection:
                connection.sendall(request)
                response = http.client.HTTPResponse(connection)
                response.begin()
                response.read()
                codes.append(response.status)

    with ThreadPoolExecutor(clients) as pool:
        done = pool.map(client, range(clients))
        until(lambda: len(codes) > clients)
        stop()
        list(done)  # raises a client's error
    return codes


def assert_refused_and_closed(url: str, sent: str, code: int, words: str) -> None:
    """Expect an error with these words for a request that does not fully arrive, and then a closed connection."""
    with connect(url, sent) as connection:
        status, body, response = answer(connection)
        assert_closed(connection)
    assert (status, body["code"]) == (code, code)
    assert set(body) == {"code", "type", "message"}
    assert words in str(body["message"])
    assert response.headers["Connection"] == "close"


def assert_a_trickle_is_too_slow(url: str) -> None:
    """Expect a 408 for a body that arrives a byte at a time."""
    with connect(url, CHUNKED) as connection:
        received = threading.Event()

        def trickle() -> None:
            while not received.wait(0.05) and sends(connection, b"1\r\n \r\n"):
                pass

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            status, body, _ = answer(connection)
        finally:
            received.set()
            thread.join()
    assert (status, body["type"]) == (408, "RequestTimeoutException")
