"""The server on Ray Serve: what replicas add to the contract, which `tests/contract` checks on this engine, too."""

import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests
from engines import ROOT, Engine
from inpaint_client import InpaintClient
from requests_in_flight import PATIENCE, until
from sample_pictures import encode, encode_mask, face, scratch
from server_metrics import samples

pytestmark = pytest.mark.engines

CLIENTS = 6
PHOTO, MASK = encode(face(300, 300)), encode_mask(scratch(300, 300, 9))


def metrics(engine: Engine) -> dict[str, float]:
    """The metrics that one of the replicas reports; empty if it is lost while it answers."""
    try:
        response = requests.get(f"{engine.url}/metrics", timeout=PATIENCE)
    except requests.ConnectionError:
        return {}
    return samples(response.text) if response.status_code == 200 else {}


def replicas(engine: Engine) -> set[str]:
    """The ids of the replicas, from the metrics of one of them."""
    info = (series for series in metrics(engine) if series.startswith("inpaint_model_info"))
    return {found[1] for series in info if (found := re.search(r'replica="(\w+)"', series))}


def filled(engine: Engine) -> set[str]:
    """The replicas that have filled a picture."""
    counts = {
        series: value
        for series, value in metrics(engine).items()
        if series.startswith("inpaint_hole_ratio_count{")
    }
    return {series for series, value in counts.items() if value > 0}


def processes(engine: Engine, name: str) -> list[psutil.Process]:
    return [process for process in engine.processes() if name in " ".join(process.cmdline())]


def fills_under(engine: Engine, event: Callable[[], None]) -> int:
    """Fill from several threads from before an event until some time after it.

    Returns the number of fills. Each of them succeeded and gave the same picture.
    """
    over, counts = threading.Event(), [0] * CLIENTS
    with InpaintClient(engine.url, timeout=PATIENCE, retry_for=PATIENCE) as client:
        right = client.fill(PHOTO, MASK).png

        def fill(number: int) -> None:
            while not over.is_set():
                assert client.fill(PHOTO, MASK).png == right
                counts[number] += 1

        with ThreadPoolExecutor(CLIENTS) as pool:
            fills = [pool.submit(fill, number) for number in range(CLIENTS)]
            try:
                until(lambda: min(counts) > 0 or any(filling.done() for filling in fills))
                event()
                seen = list(counts)
                until(
                    lambda: (
                        all(now > before + 2 for now, before in zip(counts, seen, strict=True))
                        or any(filling.done() for filling in fills)
                    )
                )
            finally:
                over.set()
            for filling in fills:
                filling.result()
    return sum(counts)


def test_one_scrape_has_the_metrics_of_all_replicas(ray_engine: Engine) -> None:
    until(lambda: len(replicas(ray_engine)) == 2)
    names = replicas(ray_engine)
    now = metrics(ray_engine)
    for name in names:
        assert now[f'inpaint_predictions_waiting{{replica="{name}"}}'] == 0


def test_a_replica_that_is_killed_under_load_loses_no_fill(ray_engine: Engine) -> None:
    until(lambda: len(replicas(ray_engine)) == 2)
    before = replicas(ray_engine)

    def kill() -> None:
        processes(ray_engine, "ServeReplica")[0].kill()
        until(lambda: len(replicas(ray_engine)) == 2 and replicas(ray_engine) != before)

    assert fills_under(ray_engine, kill) > CLIENTS


def test_a_redeployment_under_load_loses_no_fill(ray_engine: Engine) -> None:
    before = replicas(ray_engine)

    def redeploy() -> None:
        ray_engine.process.send_signal(signal.SIGUSR1)
        until(lambda: len(replicas(ray_engine)) == 2 and not replicas(ray_engine) & before)

    assert fills_under(ray_engine, redeploy) > CLIENTS


def test_a_node_that_is_lost_under_load_loses_no_fill(ray_engine: Engine) -> None:
    until(lambda: len(replicas(ray_engine)) == 2)
    until(lambda: len({replica.ppid() for replica in processes(ray_engine, "ServeReplica")}) == 2)

    def lose() -> None:
        until(lambda: len(filled(ray_engine)) == 2)
        ray_engine.process.send_signal(signal.SIGUSR2)
        until(lambda: len(replicas(ray_engine)) == 1)

    assert fills_under(ray_engine, lose) > CLIENTS


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "12000"], r"--port.*Ray itself.*12000"),
        (["--model", "nowhere.onnx"], r"There is no model file nowhere\.onnx"),
        (["--replicas", "0"], r"--replicas"),
        (["--host", "192.0.2.200"], r"Cannot listen on 192\.0\.2\.200"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_it_refuses_to_start_in_one_line(flags: list[str], words: str) -> None:
    command = [sys.executable, "-m", "serving.ray", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.match(f"serving.ray: .*{words}", done.stderr)


def test_too_few_open_files_for_haproxy_are_one_line() -> None:
    command = f"ulimit -n 1024 && exec {shlex.quote(sys.executable)} -m serving.ray"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr == (
        "serving.ray: HAProxy needs 10276 open files, and the limit is 1024: raise it (ulimit -n), or set "
        "RAY_SERVE_HAPROXY_MAXCONN=395, the number of connections that it accepts.\n"
    )
