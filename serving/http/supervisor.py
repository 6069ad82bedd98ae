"""The command `python -m serving`: run the server in a process of its own, and restart it when it crashes.

This process keeps the listening socket, so clients that connect in the meantime wait for the next server process
instead of being refused. It imports nothing but the standard library, and so takes little memory.

A system without `fork`, such as Windows, cannot pass on the socket: the server runs in this process there.
"""

import os
import signal
import socket
import subprocess
import sys
import time

_STABLE_SECONDS = 10.0  # a server that runs this long is restarted without a pause
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0  # seconds before a restart, doubled each time
READY = b"."
"""What the server sends when it is ready, the first time with its listening socket."""


def main(arguments: list[str]) -> int:
    """Serve until stopped by a signal. Return the exit code: 0 after such a stop."""
    if not hasattr(os, "fork"):
        from serving.http import server

        return server.main(arguments)
    return _Supervisor(arguments).run()


class _Supervisor:
    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._listener: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._forward)
        pause = 0.0
        while True:
            started = time.monotonic()
            process, is_ready = self._start()
            code = _wait(process)
            if self._is_stopping:
                return 0
            if not is_ready:
                return code if code >= 0 else 128 - code
            is_stable = time.monotonic() - started > _STABLE_SECONDS
            pause = 0.0 if is_stable else min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause))
            how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
            print(f"ERROR: The server process {how}: restarting it.", file=sys.stderr, flush=True)
            self._sleep(pause)
            if self._is_stopping:
                return 0

    def _start(self) -> tuple["subprocess.Popen[bytes]", bool]:
        """Start the server; wait until it is ready or ended. Return its process and whether it is ready."""
        ours, theirs = socket.socketpair()
        with theirs:
            files = [theirs.fileno()] + ([self._listener.fileno()] if self._listener else [])
            command = [
                sys.executable,
                "-m",
                "serving.http.server",
                ",".join(map(str, files)),
                *self._arguments,
            ]
            # A terminal's Ctrl-C reaches this process only, which forwards it.
            self._process = process = subprocess.Popen(command, pass_fds=files, start_new_session=True)  # noqa: S603
        self._control = ours  # until the next start: when this process ends, so does the server
        if self._is_stopping:
            process.terminate()
        message, sent, _, _ = socket.recv_fds(ours, len(READY), 1)
        if sent and self._listener is None:
            self._listener = socket.socket(fileno=sent[0])
        return process, message == READY

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._is_stopping and time.monotonic() < end:
            time.sleep(0.05)

    def _forward(self, number: int, _: object) -> None:
        first, self._is_stopping = not self._is_stopping, True
        if self._listener is not None:  # the server refuses what is still in its queue, and then closes it
            self._listener.close()
        if self._process is not None and self._process.returncode is None:
            # uvicorn stops without waiting if the second signal is SIGINT.
            os.kill(self._process.pid, signal.SIGTERM if first else signal.SIGINT)


def _wait(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a process. As the first process of a container, this one also has to reap orphans."""
    while True:
        pid, status = os.wait()
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode
