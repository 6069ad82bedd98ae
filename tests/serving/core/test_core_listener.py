"""A listening socket that is closed without resetting a connection."""

import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.core import listener
from serving.core.listener import accept_all

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can filter a socket's packets")


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=100)


def connected(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=10)


def test_pending_connections_are_accepted() -> None:
    server = listening()
    address = server.getsockname()
    clients = [connected(address) for _ in range(20)]
    accepted = accept_all(server)
    assert len(accepted) == 20
    for client in clients:
        client.sendall(b"a request")
    assert {each.recv(100) for each in accepted} == {b"a request"}
    for each in [*clients, *accepted]:
        each.close()


def test_later_connections_are_refused() -> None:
    server = listening()
    address = server.getsockname()
    assert accept_all(server) == []
    with pytest.raises(ConnectionRefusedError):
        connected(address)


@linux_only
def test_no_connection_begins_while_the_last_ones_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_HANDSHAKE_SECONDS", 0.5)
    server = listening()
    address = server.getsockname()
    with ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(accept_all, server)
        time.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):  # and is not reset
            connected(address)
        assert accepted.result() == []


@linux_only
@pytest.mark.parametrize("_", range(3))
def test_clients_that_keep_connecting_are_answered_or_refused(_: int) -> None:
    """Each sends one request per connection, and is answered, until it is refused."""
    server = listening()
    address = server.getsockname()
    reset = []

    def client() -> None:
        try:
            while True:
                with connected(address) as connection:
                    connection.sendall(b"?")
                    assert connection.recv(1) == b"!"
        except ConnectionRefusedError:
            return
        except OSError as error:
            reset.append(error)

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(1)
            connection.sendall(b"!")

    clients = [threading.Thread(target=client) for _ in range(16)]
    for each in clients:
        each.start()
    for _ in range(500):
        answer(server.accept()[0])
    for connection in accept_all(server):
        connection.settimeout(None)
        answer(connection)
    for each in clients:
        each.join()
    assert not reset
