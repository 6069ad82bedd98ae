"""The images' servers: they say when they are ready, drain, take another model, and refuse what they cannot do."""

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


def name_of(engine: Engine) -> str:
    return f"inpaint-test-{engine.port}"


def own_model(folder: Path) -> Path:
    """The default model under another version."""
    model = onnx.load(MODEL)
    for entry in model.metadata_props:
        if entry.key == "model_version":
            entry.value = "my-own-7"
    onnx.save(model, folder / "own.onnx")
    (folder / "own.onnx").chmod(0o644)
    return folder / "own.onnx"


def test_it_is_healthy_when_it_can_answer(container: Engine, engine_of_containers: Containers) -> None:
    assert engine_of_containers("healthcheck", "run", name_of(container), check=False).returncode == (
        0
        if container.name == "onnx"
        else 1  # TorchServe's check asks port 8081, and tests let it listen elsewhere
    )
    management = f"http://127.0.0.1:{container.port + 1}/models/inpaint"
    url = f"{container.url}/v2/health/ready" if container.name == "onnx" else management
    assert engine_of_containers("exec", name_of(container), "python", "-I", "healthy.py", url).stdout == ""


def test_torchserve_is_not_healthy_without_its_workers(
    torchserve_container_engine: Engine, engine_of_containers: Containers
) -> None:
    """A worker is killed, and at once the check fails; when another has taken its place it passes."""
    url = f"http://127.0.0.1:{torchserve_container_engine.port + 1}/models/inpaint"
    description = requests.get(url, timeout=PATIENCE).json()[0]
    workers = " ".join(str(worker["pid"]) for worker in description["workers"])
    script = f"kill -9 {workers}; sleep 0.5; python -I healthy.py {url}"
    name = name_of(torchserve_container_engine)
    assert "not every worker" in engine_of_containers("exec", name, "sh", "-c", script, check=False).stderr
    check = ("exec", name, "python", "-I", "healthy.py", url)
    until(lambda: engine_of_containers(*check, check=False).returncode == 0)
    assert post(torchserve_container_engine.url, small()).ok


def test_nobody_there_is_not_healthy(onnx_image: str, engine_of_containers: Containers) -> None:
    url = f"http://127.0.0.1:{free_port()}/v2/health/ready"
    done = engine_of_containers.run(onnx_image, "python", "-I", "healthy.py", url)
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("engine_name", ["onnx", "torchserve"])
def test_a_stop_answers_what_is_in_flight(
    request: pytest.FixtureRequest, engine_name: str, engine_of_containers: Containers, tmp_path: Path
) -> None:
    image = request.getfixturevalue(f"{engine_name}_image")
    with engine_of_containers.engine(engine_name, image, tmp_path) as engine:
        codes: list[int] = []
        client = threading.Thread(target=lambda: codes.append(post(engine.url, large()).status_code))
        before = threads_time(engine)
        client.start()
        until(lambda: threads_time(engine) > before + 0.5)  # it is at work
        assert codes == []
        engine_of_containers("kill", "--signal", "TERM", name_of(engine))
        client.join(PATIENCE)
        assert codes == [200]
        assert engine.process.wait(PATIENCE) == 0


def threads_time(engine: Engine) -> float:
    """Seconds of CPU that its processes have used."""
    return sum(process.cpu_times().user for process in engine.processes())


@pytest.mark.parametrize("engine_name", ["onnx", "torchserve"])
def test_another_model_is_mounted(
    request: pytest.FixtureRequest, engine_name: str, engine_of_containers: Containers, tmp_path: Path
) -> None:
    image, model = request.getfixturevalue(f"{engine_name}_image"), own_model(tmp_path)
    if engine_name == "torchserve":
        model = build_mar(model, tmp_path)
        model.chmod(0o644)
    mount = ("--volume", f"{model}:/app/models/inpaint{model.suffix}:ro")
    with engine_of_containers.engine(engine_name, image, tmp_path, *mount) as engine:
        assert post(engine.url, small()).json()["model_version"] == "my-own-7"


def test_the_page_is_there(onnx_container_engine: Engine) -> None:
    page = requests.get(f"{onnx_container_engine.url}/", timeout=PATIENCE)
    assert page.headers["Content-Type"].startswith("text/html")
    for script in re.findall(r'"(/?_app/[^"]+\.js)"', page.text):
        assert requests.get(f"{onnx_container_engine.url}/{script.lstrip('/')}", timeout=PATIENCE).ok


@pytest.mark.parametrize("target", ["onnx-gpu", "torchserve-gpu"])
def test_without_a_gpu_the_settings_of_the_gpu_images_refuse_to_start(
    request: pytest.FixtureRequest, target: str, dockerfile: str, engine_of_containers: Containers
) -> None:
    """Those images are gigabytes; what they set is given to the image for CPUs."""
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


def test_the_proxy_serves_the_page_and_passes_on(
    proxy_image: str, onnx_container_engine: Engine, engine_of_containers: Containers
) -> None:
    port = free_port()
    name, url = f"inpaint-test-proxy-{port}", f"http://127.0.0.1:{port}"
    settings = {"PROXY_PORT": port, "PROXY_ENGINES": f"127.0.0.1:{onnx_container_engine.port}"}
    options = [option for key, value in settings.items() for option in ("--env", f"{key}={value}")]
    options += ["--network", "host", "--volume", "/var/cache/proxy"]
    engine_of_containers(
        "run", "--detach", "--name", name, *HARDENED, *engine_of_containers.limits, *options, proxy_image
    )
    try:
        until(lambda: engine_of_containers("healthcheck", "run", name, check=False).returncode == 0)
        page = requests.get(f"{url}/", timeout=PATIENCE)
        assert page.headers["Content-Type"] == "text/html"
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert post(url, small()).content == post(onnx_container_engine.url, small()).content
        too_large = requests.post(f"{url}/predictions/inpaint", data=bytes(65 * 2**20), timeout=PATIENCE)
        assert too_large.json()["type"] == "PayloadTooLargeException"
        answers: list[requests.Response] = []
        client = threading.Thread(target=lambda: answers.append(post(url, large())))
        before = threads_time(onnx_container_engine)
        client.start()
        until(lambda: threads_time(onnx_container_engine) > before + 0.5)
        engine_of_containers("stop", "--time", str(PATIENCE), name)
        client.join(PATIENCE)
        assert answers[0].ok
        assert '"uri":"/predictions/inpaint","status":200' in engine_of_containers("logs", name).stdout
    finally:
        engine_of_containers("rm", "--force", "--volumes", name)
    assert signal.SIGQUIT.name in engine_of_containers.inspect(proxy_image)["Config"]["StopSignal"]
