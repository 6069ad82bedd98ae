"""The servers to compare, and what is missing for those that are left out."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime as ort
from requests import PreparedRequest, Request
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from benchmarks import server
from benchmarks.client import Response, multipart
from benchmarks.processes import free_port
from export.mar import build_mar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Files = dict[str, bytes]
"""A request's `image` and `mask`, PNG."""

SERVERS: Final = "benchmarks.comparison.servers"
PACKAGES: Final = {
    "litserve": "litserve python-multipart",
    "bentoml": "bentoml",
    "triton": "nvidia-pytriton",
}
"""Packages to install, with onnxruntime and pillow, into an environment named after the server."""
OURS: Final = "this project, ONNX Runtime server"


def _body(response: Response) -> bytes:
    return response.body


@dataclass(frozen=True)
class Contestant:
    """A server to compare.

    Attributes:
        name: Its name in the table.
        command: The command that starts it.
        url: Where it fills photos.
        settings: Environment variables.
        request: Makes a request of the URL and files.
        answer: Returns the PNG in a response.
        trained: Whether its network is trained, so that measuring the quality of its answers makes sense.
    """

    name: str
    command: list[str]
    url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    request: Callable[[str, Files], PreparedRequest] = multipart
    answer: Callable[[Response], bytes] = _body
    trained: bool = True


def contestants(
    model: Path, weights: Path, threads: int, environments: Path, scratch: Path
) -> tuple[list[Contestant], list[str]]:
    """Return the servers that can run here, this project's first, and a sentence about each that cannot.

    Args:
        model: The ONNX file.
        weights: The checkpoint that it was exported from.
        threads: CPU threads of each server, for one prediction or shared by the several that it runs at a time.
        environments: Folder of virtual environments for servers that are not dependencies of this project.
        scratch: Folder for files that are needed while the servers run.
    """
    found: list[Contestant] = []
    left_out: list[str] = []
    port = free_port()
    found.append(_ours(OURS, server.command(model, threads, port), port))
    if shutil.which("java"):
        port = free_port(following=2)
        archive = build_mar(model, scratch)
        start = ["-m", "serving.torchserve.start", f"--mar={archive}", f"--port={port}"]
        found.append(_ours("this project, TorchServe", [sys.executable, *start], port))
    else:
        left_out.append("TorchServe is left out: it needs Java, such as OpenJDK 17")
    if importlib.util.find_spec("ray"):
        port = free_port()
        start = ["-m", "serving.ray", f"--model={model}", f"--port={port}", f"--replicas={threads}"]
        found.append(_ours("this project, Ray Serve", [sys.executable, *start], port))
    else:
        left_out.append("Ray Serve is left out: `make ray` installs it")
    eager = [sys.executable, "-m", f"{SERVERS}.eager_torch"]
    for name, file in (("same weights", weights), ("the report's network", Path("literal"))):
        settings, url = _settings(file, threads, "/fill")
        name = f"FastAPI and eager PyTorch, {name}"
        found.append(Contestant(name, eager, url, settings, trained=file == weights))
    for folder, make in (("litserve", _litserve), ("bentoml", _bentoml), ("triton", _triton)):
        python = environments / folder / "bin" / "python"
        if python.exists():
            found.append(make(str(python.absolute()), model, threads))
        else:
            left_out.append(
                f"{folder} is left out: `python -m venv {environments / folder} && "
                f"{python.with_name('pip')} install {PACKAGES[folder]} onnxruntime=={ort.__version__} pillow` "
                "installs it"
            )
    return found, left_out


def _ours(name: str, command: list[str], port: int) -> Contestant:
    def request(url: str, files: Files) -> PreparedRequest:
        return multipart(url, files, {"Accept": "image/png"})

    return Contestant(name, command, f"http://127.0.0.1:{port}/predictions/inpaint", request=request)


def _settings(model: Path, threads: int, path: str) -> tuple[dict[str, str], str]:
    """Return the environment variables of one of `SERVERS`, and its URL."""
    port = free_port()
    settings = {
        "MODEL": str(model.absolute()) if model.exists() else str(model),
        "PORT": str(port),
        "THREADS": str(threads),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "BENTOML_DO_NOT_TRACK": "True",  # BentoML would send usage data to its maker
    }
    return settings, f"http://127.0.0.1:{port}{path}"


def _litserve(python: str, model: Path, threads: int) -> Contestant:
    settings, url = _settings(model, threads, "/predict")
    return Contestant("LitServe, same ONNX file", [python, "-m", f"{SERVERS}.litserve_onnx"], url, settings)


def _bentoml(python: str, model: Path, threads: int) -> Contestant:
    settings, url = _settings(model, threads, "/fill")
    command = [python, "-m", "bentoml", "serve", f"{SERVERS}.bentoml_onnx:Fill"]
    command += [f"--port={settings['PORT']}", "--host=127.0.0.1"]
    return Contestant("BentoML, same ONNX file", command, url, settings)


def _triton(python: str, model: Path, threads: int) -> Contestant:
    settings, url = _settings(model, threads, "/v2/models/inpaint/infer")
    command = [python, "-m", f"{SERVERS}.triton_onnx"]
    return Contestant(
        "Triton (pytriton), same ONNX file", command, url, settings, _inference_request, _inference_answer
    )


def _inference_request(url: str, files: Files) -> PreparedRequest:
    """Return a request of the Open Inference Protocol with binary tensors."""
    inputs = []
    for name, file in files.items():
        inputs.append(InferInput(name, [len(file)], "UINT8"))
        inputs[-1].set_data_from_numpy(np.frombuffer(file, np.uint8))
    output = InferRequestedOutput("output")
    body, size = InferenceServerClient.generate_request_body(inputs, outputs=[output])
    headers = {"Inference-Header-Content-Length": str(size)}
    return Request("POST", url, data=body, headers=headers).prepare()


def _inference_answer(response: Response) -> bytes:
    size = int(response.headers["Inference-Header-Content-Length"])
    result = InferenceServerClient.parse_response_body(response.body, header_length=size)
    return bytes(result.as_numpy("output").tobytes())
