"""The ASGI server: uvicorn, with a shutdown that answers every request already sent."""

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from serving.core.clients import PAUSE_SECONDS
from serving.core.listener import accept_all
from serving.http.admission import Admission
from serving.http.connections import Connection
from serving.http.scheduling import Scheduler

_POLL_SECONDS = 0.05


class Server(uvicorn.Server):
    """uvicorn's server. When it stops, it completes the requests in progress and refuses all further ones with a 503.

    uvicorn itself would reset the connections that it has not yet accepted.
    """

    def __init__(self, config: uvicorn.Config, admission: Admission, scheduler: Scheduler) -> None:
        super().__init__(config)
        self._admission = admission
        self._scheduler = scheduler

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (self.config.timeout_graceful_shutdown or 0)
        self._admission.stop()
        await self._wait(lambda: not self._admission.requests, end)
        self._scheduler.stop()
        await self._wait(lambda: not self._admission.requests, loop.time() + PAUSE_SECONDS)
        await self._wait(self._is_quiet, loop.time() + PAUSE_SECONDS)
        # Connections made before the listeners are closed are refused, too.
        listeners = [listener.dup() for listener in sockets or []]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for client in [client for listener in listeners for client in accept_all(listener)]:
            await loop.connect_accepted_socket(self._connection, client)
        await self._wait(self._is_quiet, loop.time() + PAUSE_SECONDS)
        self.config.timeout_graceful_shutdown = max(1, int(end - loop.time()))
        await super().shutdown(sockets)

    async def _wait(self, condition: Callable[[], bool], end: float) -> None:
        loop = asyncio.get_running_loop()
        while not condition() and loop.time() < end and not self.force_exit:
            await asyncio.sleep(_POLL_SECONDS)

    def _is_quiet(self) -> bool:
        """Tell whether no request is in progress, and probably none is on its way."""
        recent = asyncio.get_running_loop().time() - PAUSE_SECONDS
        return not self.server_state.tasks and not any(
            connection.waiting_since is not None and connection.waiting_since > recent
            for connection in self.server_state.connections
            if isinstance(connection, Connection)
        )

    def _connection(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
