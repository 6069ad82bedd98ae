"""The servers in the images: health checks, draining, mounted models, the page, and refusal without a GPU."""

import re
import signal
import threading
from pathlib import Path

import onnx
import pytest
import requests
from engines import MODEL, Engine, free_port
from images import HARDENED, Containers
from requests_in_flight import PATIENCE, large, post, small, until

from export.mar import build_mar

# Kill TorchServe's workers, and run the health check in the arguments until it fails. It has to fail before new
# workers have taken their place, which takes two seconds; TorchServe needs a moment to notice that they are gone.
_KILL_WORKERS = """
import json, os, subprocess, sys, urllib.request
description = json.load(urllib.request.urlopen("http://127.0.0.1:8081/models/inpaint"))[0]
for worker in description["workers"]:
    os.kill(worker["pid"], 9)
if not any(subprocess.run(sys.argv[1:]).returncode for _ in range(10)):
    sys.exit("healthy without its workers")
"""


def name_of(engine: Engine) -> str:
    return f"inpaint-test-{engine.port}"


def own_model(folder: Path) -> Path:
    """The default model with another version."""
    model = onnx.load(MODEL)
    for entry in model.metadata_props:
        if entry.key == "model_version":
            entry.value = "my-own-7"
    onnx.save(model, folder / "own.onnx")
    (folder / "own.onnx").chmod(0o644)
    return folder / "own.onnx"


@pytest.mark.parametrize("engine_name", ["onnx", "torchserve"])
def test_container_is_healthy_once_it_can_answer(
    request: pytest.FixtureRequest, engine_name: str, engine_of_containers: Containers
) -> None:
    """On the default ports of the image, without an external network."""
    image = request.getfixturevalue(f"{engine_name}_image")
    with engine_of_containers.detached(image, "--network", "none") as container:
        until(lambda: engine_of_containers.healthy(container, image))
        if engine_name == "torchserve":
            # Before it logs this, it fills a picture, and exits if the worker dies meanwhile.
            until(lambda: "ready:" in engine_of_containers("logs", container).stdout)
            check = engine_of_containers.health_check(image)
            engine_of_containers("exec", container, "python", "-c", _KILL_WORKERS, *check)
            until(lambda: engine_of_containers.healthy(container, image))


def test_health_check_fails_where_nothing_listens(onnx_image: str, engine_of_containers: Containers) -> None:
    url = f"http://127.0.0.1:{free_port()}/v2/health/ready"
    done = engine_of_containers.run(onnx_image, "python", "-I", "healthcheck.py", url)
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("engine_name", ["onnx", "torchserve"])
def test_container_serves_a_mounted_model_and_a_stop_finishes_requests_in_flight(
    request: pytest.FixtureRequest, engine_name: str, engine_of_containers: Containers, tmp_path: Path
) -> None:
    image, model = request.getfixturevalue(f"{engine_name}_image"), own_model(tmp_path)
    if engine_name == "torchserve":
        model = build_mar(model, tmp_path)
        model.chmod(0o644)
    place = MODEL.name if engine_name == "onnx" else "inpaint.mar"
    mount = ("--volume", f"{model}:/app/models/{place}:ro")
    with engine_of_containers.engine(engine_name, image, tmp_path, *mount) as engine:
        assert post(engine.url, small()).json()["model_version"] == "my-own-7"
        codes: list[int] = []
        client = threading.Thread(target=lambda: codes.append(post(engine.url, large()).status_code))
        before = cpu_seconds(engine)
        client.start()
        until(lambda: cpu_seconds(engine) > before + 0.5)  # it is at work
        assert codes == []
        engine_of_containers("kill", "--signal", "TERM", name_of(engine))
        client.join(PATIENCE)
        assert codes == [200]
        assert engine.process.wait(PATIENCE) == 0


def cpu_seconds(engine: Engine) -> float:
    """User CPU time of the engine's processes, in seconds."""
    return sum(process.cpu_times().user for process in engine.processes())


def test_the_page_is_there(onnx_container_engine: Engine) -> None:
    page = requests.get(f"{onnx_container_engine.url}/", timeout=PATIENCE)
    assert page.headers["Content-Type"].startswith("text/html")
    for script in re.findall(r'"(/?_app/[^"]+\.js)"', page.text):
        assert requests.get(f"{onnx_container_engine.url}/{script.lstrip('/')}", timeout=PATIENCE).ok


@pytest.mark.parametrize("target", ["onnx-gpu", "torchserve-gpu"])
def test_gpu_image_settings_prevent_a_start_without_a_gpu(
    request: pytest.FixtureRequest, target: str, dockerfile: str, engine_of_containers: Containers
) -> None:
    """The GPU images are gigabytes large, so their settings are given to the CPU images."""
    _, _, rest = dockerfile.partition(f"AS {target}\n")
    stage = rest.partition("\nFROM ")[0]
    settings = re.findall(r"INPAINT_\w+=\S+", stage)
    flags = [
        flag
        for line in re.findall(r"^CMD \[(.*)\]$", stage, re.MULTILINE)
        for flag in re.findall(r'"(.*?)"', line)
    ]
    assert settings or flags
    options = [option for setting in settings for option in ("--env", setting)]
    image = request.getfixturevalue(f"{target.removesuffix('-gpu')}_image")
    arguments = [*HARDENED, *engine_of_containers.limits, *options, image, *flags]
    done = engine_of_containers("run", "--rm", *arguments, check=False)
    assert done.returncode == 1
    assert re.search("GPU", done.stderr)
    assert "Traceback" not in done.stderr


def test_the_proxy_serves_the_page_and_forwards_requests(
    proxy_image: str, onnx_container_engine: Engine, engine_of_containers: Containers
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"PROXY_PORT": port, "PROXY_ENGINES": f"127.0.0.1:{onnx_container_engine.port}"}
    options = [option for key, value in settings.items() for option in ("--env", f"{key}={value}")]
    options += ["--network", "host", "--volume", "/var/cache/proxy"]
    with engine_of_containers.detached(proxy_image, *options) as container:
        until(lambda: engine_of_containers.healthy(container, proxy_image))
        page = requests.get(f"{url}/", timeout=PATIENCE)
        assert page.headers["Content-Type"] == "text/html"
        assert "script-src 'self' 'wasm-unsafe-eval'" in page.headers["Content-Security-Policy"]
        assert post(url, small()).content == post(onnx_container_engine.url, small()).content
        answers: list[requests.Response] = []
        client = threading.Thread(target=lambda: answers.append(post(url, large())))
        before = cpu_seconds(onnx_container_engine)
        client.start()
        until(lambda: cpu_seconds(onnx_container_engine) > before + 0.5)
        engine_of_containers("stop", "--time", str(PATIENCE), container)
        client.join(PATIENCE)
        assert answers[0].ok
        assert '"uri":"/predictions/inpaint","status":200' in engine_of_containers("logs", container).stdout
    assert signal.SIGQUIT.name in engine_of_containers.inspect(proxy_image)["Config"]["StopSignal"]
