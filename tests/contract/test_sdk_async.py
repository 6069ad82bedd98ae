"""The asyncio client on real servers: many concurrent fills, and fills during a crash."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import MODEL, Engine, free_port, running
from inpaint_client import AsyncInpaintClient, ClientError, FillResult, InpaintClient
from requests_in_flight import PATIENCE
from sample_pictures import face, scratch

PHOTO, HOLE = face(120, 100), scratch(120, 100, 7)


def patient_client(engine: Engine) -> AsyncInpaintClient:
    """A client for a busy machine, where a hundred fills can take a minute."""
    return AsyncInpaintClient(engine.url, timeout=2 * PATIENCE, retry_for=2 * PATIENCE)


def photo(number: int) -> np.ndarray:
    """A different photo for each number."""
    return np.roll(PHOTO, number, axis=1)


def test_100_concurrent_fills_return_the_same_as_the_synchronous_client(onnx_engine: Engine) -> None:
    async def fill_all() -> list[FillResult]:
        async with patient_client(onnx_engine) as client:
            return await asyncio.gather(*[client.fill(photo(number), HOLE) for number in range(100)])

    concurrent = asyncio.run(fill_all())
    with InpaintClient(onnx_engine.url) as client:
        for number in (0, 1, 50, 99):
            assert concurrent[number] == client.fill(photo(number), HOLE)
    assert len({result.png for result in concurrent}) == 100


def test_errors_are_the_same_as_those_of_the_synchronous_client(onnx_engine: Engine) -> None:
    async def fill() -> None:
        async with patient_client(onnx_engine) as client:
            await client.fill(PHOTO, HOLE[:-1])

    with pytest.raises(ClientError) as asynchronous:
        asyncio.run(fill())
    with InpaintClient(onnx_engine.url) as client, pytest.raises(ClientError) as synchronous:
        client.fill(PHOTO, HOLE[:-1])
    assert asynchronous.value.args == synchronous.value.args


def test_fill_many_health_and_readiness(onnx_engine: Engine) -> None:
    async def use() -> None:
        async with patient_client(onnx_engine) as client:
            ready = await client.wait_until_ready(timeout=PATIENCE)
            assert (await client.health()).status == ready.status == "Healthy"
            pairs = [(photo(number), HOLE) for number in range(6)]
            alone = [await client.fill(*pair) for pair in pairs]
            many = [result async for result in client.fill_many(pairs, max_concurrency=3, progress=False)]
            assert many == alone

    asyncio.run(use())


@pytest.mark.engines
def test_no_fill_is_lost_when_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "serving", "--port", str(port), "--model", str(MODEL)]

    async def fill_during_a_crash() -> list[FillResult]:
        with running("onnx", command, (port, port), tmp_path) as engine:
            async with patient_client(engine) as client:
                fills = [asyncio.create_task(client.fill(photo(number), HOLE)) for number in range(40)]
                await asyncio.wait(fills, return_when=asyncio.FIRST_COMPLETED)
                for process in engine.processes():
                    process.kill()
                await asyncio.to_thread(engine.process.wait)
                with running("onnx", command, (port, port), tmp_path):
                    return await asyncio.gather(*fills)

    assert len({result.png for result in asyncio.run(fill_during_a_crash())}) == 40


def test_no_fill_is_lost_when_the_workers_of_torchserve_are_killed(torchserve_engine: Engine) -> None:
    async def fill_during_a_crash() -> list[FillResult]:
        async with patient_client(torchserve_engine) as client:
            fills = [asyncio.create_task(client.fill(photo(number), HOLE)) for number in range(40)]
            await asyncio.wait(fills, return_when=asyncio.FIRST_COMPLETED)
            for process in torchserve_engine.processes():
                if any("model_service_worker" in argument for argument in process.cmdline()):
                    process.kill()
            results = await asyncio.gather(*fills)
            await client.wait_until_ready(timeout=PATIENCE)
            return results

    assert len({result.png for result in asyncio.run(fill_during_a_crash())}) == 40
