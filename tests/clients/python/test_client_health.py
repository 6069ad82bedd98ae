import socket

import pytest
from inpaint_client import (
    ClientError,
    ConnectError,
    ContractError,
    Health,
    InpaintClient,
    NotReadyError,
    ServerError,
)
from inpaint_client.health import wait_until_ready
from inpaint_client.policy import Retry, Timeout
from inpaint_client.transport import Transport
from inpaint_loopback import LoopbackServer, drop, reply

BUSY = reply(503, {"code": 503, "type": "ServiceUnavailableException", "message": "no worker"})
LOST = reply(500, {"code": 500, "type": "InternalServerException", "message": "worker died"})


def test_the_open_inference_protocol_tells_the_versions(
    server: LoopbackServer, client: InpaintClient
) -> None:
    server.usual["/v2"] = reply(200, {"name": "onnx", "version": "0.3", "extensions": []})
    server.usual["/v2/models/inpaint"] = reply(200, {"name": "inpaint", "versions": ["1.1", "1.2"]})
    assert client.health() == Health(
        status="Healthy", server="onnx", server_version="0.3", model_version="1.2"
    )


def test_torchserve_tells_its_version_in_its_description(
    server: LoopbackServer, client: InpaintClient
) -> None:
    server.usual["/"] = reply(
        200, {"openapi": "3.0.1", "info": {"title": "TorchServe APIs", "version": "0.12.0"}}
    )
    assert client.health() == Health(
        status="Healthy", server="TorchServe", server_version="0.12.0", model_version=None
    )
    assert server.requests[-2].method == "OPTIONS"


def test_versions_are_not_needed_for_health(server: LoopbackServer, client: InpaintClient) -> None:
    server.usual["/v2"] = reply(500)
    server.usual["/"] = reply(200, b"<html>")
    server.usual["/v2/models/inpaint"] = reply(200, {"versions": []})
    assert client.health() == Health(status="Healthy", server=None, server_version=None, model_version=None)


def test_a_probe_is_not_repeated(server: LoopbackServer, client: InpaintClient) -> None:
    server.script["/ping"] = [reply(503, {"status": "Unhealthy"})]
    with pytest.raises(ServerError, match="503"):
        client.health()
    assert len(server.requests) == 1
    assert client.health().status == "Healthy"
    server.script["/ping"] = [drop]
    with pytest.raises(ConnectError):
        client.health()


@pytest.mark.parametrize("page", [b"<html>It works!</html>", b"[]", b'{"status": 1}'])
def test_another_service_is_recognised(server: LoopbackServer, client: InpaintClient, page: bytes) -> None:
    server.usual["/ping"] = reply(200, page)
    with pytest.raises(ContractError, match="/ping"):
        client.health()


def test_ready_means_that_the_model_answers(server: LoopbackServer, client: InpaintClient) -> None:
    server.on_predict(BUSY, BUSY, LOST)
    assert client.wait_until_ready(timeout=60, interval=0.001) == Health(
        status="Healthy", server=None, server_version=None, model_version="1.2"
    )
    assert len(server.predictions) == 4


def test_a_server_that_starts_later_is_waited_for() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started: list[LoopbackServer] = []

    def sleep(seconds: float) -> None:
        if not started:
            started.append(LoopbackServer(port))

    transport = Transport(
        f"http://127.0.0.1:{port}", api_key=None, timeout=Timeout(), retry=Retry(), sleep=sleep
    )
    try:
        assert wait_until_ready(transport, timeout=60, interval=0.001).model_version == "1.2"
    finally:
        transport.close()
        for server in started:
            server.stop()


def test_time_runs_out_with_the_last_failure_as_cause(server: LoopbackServer, client: InpaintClient) -> None:
    server.usual["/predictions/inpaint"] = BUSY
    with pytest.raises(NotReadyError, match=r"not ready after 0.05 s: no worker") as caught:
        client.wait_until_ready(timeout=0.05, interval=0.01)
    assert isinstance(caught.value.__cause__, ServerError)


def test_no_time_means_one_try(server: LoopbackServer, client: InpaintClient) -> None:
    assert client.wait_until_ready(timeout=0).model_version == "1.2"
    server.on_predict(BUSY)
    with pytest.raises(NotReadyError):
        client.wait_until_ready(timeout=0)


@pytest.mark.parametrize("code", [400, 401, 403, 413, 415])
def test_a_refusal_is_not_waited_out(server: LoopbackServer, client: InpaintClient, code: int) -> None:
    server.on_predict(reply(code))
    with pytest.raises(ClientError):
        client.wait_until_ready(timeout=60, interval=0.001)
    assert len(server.predictions) == 1


def test_a_model_that_is_not_there_yet_is_waited_for(server: LoopbackServer, client: InpaintClient) -> None:
    server.on_predict(reply(404), reply(404))
    assert client.wait_until_ready(timeout=60, interval=0.001).model_version == "1.2"
