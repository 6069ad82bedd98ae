import threading

import pytest
from inpaint_client import (
    ClientError,
    ConnectError,
    Health,
    InpaintClient,
    InvalidResponseError,
    NotReadyError,
    ServerError,
)
from inpaint_loopback import LoopbackServer, drop, free_port, reply

BUSY = reply(503, {"code": 503, "type": "ServiceUnavailableException", "message": "no worker"})
LOST = reply(500, {"code": 500, "type": "InternalServerException", "message": "Worker died."})


def test_the_open_inference_protocol_reports_the_versions(
    server: LoopbackServer, client: InpaintClient
) -> None:
    server.usual["/v2"] = reply(200, {"name": "onnx", "version": "0.3", "extensions": []})
    server.usual["/v2/models/inpaint"] = reply(200, {"name": "inpaint", "versions": ["1.1", "1.2"]})
    assert client.health() == Health(
        status="Healthy", server="onnx", server_version="0.3", model_version="1.2"
    )


def test_torchserve_reports_its_version_in_its_api_description(
    server: LoopbackServer, client: InpaintClient
) -> None:
    server.usual["/"] = reply(
        200, {"openapi": "3.0.1", "info": {"title": "TorchServe APIs", "version": "0.12.0"}}
    )
    assert client.health() == Health(
        status="Healthy", server="TorchServe", server_version="0.12.0", model_version=None
    )
    assert server.requests[-2].method == "OPTIONS"


def test_versions_are_optional(server: LoopbackServer, client: InpaintClient) -> None:
    server.usual["/v2"] = reply(500)
    server.usual["/"] = reply(200, b"<html>")
    server.usual["/v2/models/inpaint"] = reply(200, {"versions": []})
    assert client.health() == Health(status="Healthy", server=None, server_version=None, model_version=None)


def test_health_requests_are_not_retried(server: LoopbackServer, client: InpaintClient) -> None:
    server.script["/ping"] = [reply(503, {"status": "Unhealthy"})]
    with pytest.raises(ServerError, match="503"):
        client.health()
    assert len(server.requests) == 1
    assert client.health().status == "Healthy"
    server.script["/ping"] = [drop]
    with pytest.raises(ConnectError):
        client.health()


@pytest.mark.parametrize("page", [b"<html>It works!</html>", b"[]", b'{"status": 1}'])
def test_a_different_service_is_detected(server: LoopbackServer, client: InpaintClient, page: bytes) -> None:
    server.usual["/ping"] = reply(200, page)
    with pytest.raises(InvalidResponseError, match="/ping"):
        client.health()


def test_ready_means_that_predictions_succeed(server: LoopbackServer, client: InpaintClient) -> None:
    server.on_predict(BUSY, BUSY, LOST)
    assert client.wait_until_ready(timeout=60, interval=0.001) == Health(
        status="Healthy", server=None, server_version=None, model_version="1.2"
    )
    assert len(server.predictions) == 4


def test_a_server_that_starts_later_is_waited_for() -> None:
    port = free_port()
    started: list[LoopbackServer] = []
    timer = threading.Timer(0.2, lambda: started.append(LoopbackServer(port)))
    timer.start()
    try:
        with InpaintClient(f"http://127.0.0.1:{port}") as client:
            assert client.wait_until_ready(timeout=60, interval=0.001).model_version == "1.2"
    finally:
        timer.join()
        started[0].stop()


def test_after_the_timeout_the_cause_is_the_last_error(server: LoopbackServer, client: InpaintClient) -> None:
    server.usual["/predictions/inpaint"] = BUSY
    with pytest.raises(NotReadyError, match=r"not ready after 0.05 s: no worker") as caught:
        client.wait_until_ready(timeout=0.05, interval=0.01)
    assert isinstance(caught.value.__cause__, ServerError)


def test_a_timeout_of_zero_tries_once(server: LoopbackServer, client: InpaintClient) -> None:
    assert client.wait_until_ready(timeout=0).model_version == "1.2"
    server.on_predict(BUSY)
    with pytest.raises(NotReadyError):
        client.wait_until_ready(timeout=0)


@pytest.mark.parametrize("code", [400, 401, 403, 413, 415])
def test_permanent_errors_are_raised_at_once(
    server: LoopbackServer, client: InpaintClient, code: int
) -> None:
    server.on_predict(reply(code))
    with pytest.raises(ClientError):
        client.wait_until_ready(timeout=60, interval=0.001)
    assert len(server.predictions) == 1


def test_a_model_that_is_not_loaded_yet_is_waited_for(server: LoopbackServer, client: InpaintClient) -> None:
    server.on_predict(reply(404), reply(404))
    assert client.wait_until_ready(timeout=60, interval=0.001).model_version == "1.2"
