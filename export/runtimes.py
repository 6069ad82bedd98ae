"""The runtimes that the parity check runs artifacts on: ONNX Runtime, and others that people may load the graph with.

Each is a context manager that loads an ONNX file and provides a `Run`. Those that are not installed are left out.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from json import loads
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import onnx.parser
import onnxruntime

from serving.core.graph import IMAGE, MASK, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import IO

    from numpy.typing import NDArray

CPU_PROVIDER: Final = "CPUExecutionProvider"
GPU_PROVIDERS: Final = {"CUDA": "CUDAExecutionProvider", "TensorRT": "TensorrtExecutionProvider"}

WEB_PACKAGE: Final = Path(__file__).parents[1] / "clients" / "web" / "node_modules" / "onnxruntime-web"
"""ONNX Runtime Web, as `make page` installs it."""
_IDENTITY: Final = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 20]> identity (float[1] x) => (float[1] y) { y = Identity(x) }'
).SerializeToString()
"""A model that every provider runs."""
_WEB_SCRIPT: Final = Path(__file__).with_name("onnxruntime_web.mjs")


class Run(Protocol):
    """An artifact that a runtime has loaded."""

    def __call__(self, image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take N3HW in [0, 1] and N1HW with 1 = known; return N3HW in [0, 1]. Raises what the runtime raises."""


@dataclass(frozen=True)
class Runtime:
    """A runtime that is installed.

    Attributes:
        name: Its name and version.
        load: Loads an ONNX file while the `with` block runs.
        pictures: Maximum number of pictures of a probe to run; None for all.
        side: Run only probes of at most this height and width, in pixels; None for all.
    """

    name: str
    load: Callable[[Path], AbstractContextManager[Run]]
    pictures: int | None = None
    side: int | None = None


def installed_runtimes() -> tuple[list[Runtime], list[str]]:
    """Return the runtimes that are installed, ONNX Runtime on the CPU first, and why the others are left out."""
    found = [onnx_runtime_cpu(), reference_evaluator(), onnx_runtime_web(), openvino()]
    found += [onnx_runtime_gpu(device) for device in GPU_PROVIDERS]
    return [r for r in found if isinstance(r, Runtime)], [r for r in found if isinstance(r, str)]


def onnx_runtime_cpu() -> Runtime:
    """Return ONNX Runtime on the CPU: the runtime that the engines use."""
    return Runtime(f"ONNX Runtime {onnxruntime.__version__} (CPU)", partial(_load_onnx_runtime, CPU_PROVIDER))


def onnx_runtime_gpu(device: str) -> Runtime | str:
    """Return ONNX Runtime with a key of `GPU_PROVIDERS`, or why it is not available."""
    provider = GPU_PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        return f"ONNX Runtime ({device}): this build of ONNX Runtime has no {provider}"
    if _session(provider, _IDENTITY).get_providers()[0] != provider:  # it falls back without an error
        return f"ONNX Runtime ({device}): {provider} cannot be loaded here"
    return Runtime(
        f"ONNX Runtime {onnxruntime.__version__} ({device})", partial(_load_onnx_runtime, provider)
    )


@contextmanager
def _load_onnx_runtime(provider: str, artifact: Path) -> Iterator[Run]:
    session = _session(provider, artifact)
    yield lambda image, mask: np.asarray(session.run([OUTPUT], {IMAGE: image, MASK: mask})[0])


def _session(provider: str, model: Path | bytes) -> onnxruntime.InferenceSession:
    if provider != CPU_PROVIDER:
        onnxruntime.preload_dlls()  # the system's loader does not find CUDA installed by pip
    # TensorFloat-32, CUDA's default, has the precision of float16.
    options = [{"use_tf32": "0"}] if provider == GPU_PROVIDERS["CUDA"] else [{}]
    return onnxruntime.InferenceSession(model, providers=[provider], provider_options=options)


def reference_evaluator() -> Runtime:
    """Return ONNX's reference evaluator: the operators as the standard defines them, in NumPy, and slow."""
    return Runtime(f"ONNX {version('onnx')} reference evaluator", _load_reference, pictures=1, side=48)


@contextmanager
def _load_reference(artifact: Path) -> Iterator[Run]:
    from onnx.reference import ReferenceEvaluator

    from export.grid_sample import GridSample

    evaluator = ReferenceEvaluator(str(artifact), new_ops=[GridSample])

    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        (output,) = evaluator.run([OUTPUT], {IMAGE: image, MASK: mask})
        return np.asarray(output)

    with np.errstate(all="ignore"):  # an artifact that divides by zero is found by its results
        yield run


def onnx_runtime_web() -> Runtime | str:
    """Return ONNX Runtime Web, the runtime of the web page, in Node.js, or why it is not available."""
    node = which("node")
    if node is None:
        return "ONNX Runtime Web (WASM): Node.js is not installed"
    if not WEB_PACKAGE.is_dir():
        return "ONNX Runtime Web (WASM): it is not installed; `make page` installs it"
    number = loads((WEB_PACKAGE / "package.json").read_text())["version"]
    return Runtime(f"ONNX Runtime Web {number} (WASM)", partial(_load_onnx_runtime_web, node), pictures=1)


@contextmanager
def _load_onnx_runtime_web(node: str, artifact: Path) -> Iterator[Run]:
    command = [node, str(_WEB_SCRIPT), str(WEB_PACKAGE), str(artifact)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as process,  # noqa: S603
    ):
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None  # noqa: S101 (they are pipes)
        assert stdout is not None  # noqa: S101

        def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
            try:
                stdin.write(struct.pack("<3I", *(image.shape[axis] for axis in (0, 2, 3))))
                stdin.write(image.astype("<f4").tobytes() + mask.astype("<f4").tobytes())
                stdin.flush()
                shape = struct.unpack("<4I", _read(stdout, 16))
                values = np.frombuffer(_read(stdout, 4 * int(np.prod(shape))), "<f4")
            except (BrokenPipeError, EOFError):
                process.wait()
                errors.seek(0)
                raise RuntimeError(errors.read().decode(errors="replace").strip()[-1000:]) from None
            return values.astype(np.float32).reshape(shape)

        try:
            yield run
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # data that it has not read
                stdin.close()


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def openvino() -> Runtime | str:
    """Return OpenVINO on the CPU in float32, or why it is not available."""
    try:
        number = version("openvino")
    except PackageNotFoundError:
        return "OpenVINO: it is not installed; `pip install openvino` installs it"
    return Runtime(f"OpenVINO {number} (CPU)", _load_openvino)


@contextmanager
def _load_openvino(artifact: Path) -> Iterator[Run]:
    from openvino import Core

    # By default it computes in bfloat16 or float16 on processors that have them.
    compiled = Core().compile_model(artifact, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    yield lambda image, mask: np.asarray(compiled({IMAGE: image, MASK: mask})[OUTPUT])
