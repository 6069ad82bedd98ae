"""The model in ONNX Runtime: which device runs it, what it is called, and one way to call it."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serving.core.errors import DeviceUnavailableException, ModelFileException, ModelOutputException
from serving.core.tiling import SMALLEST

logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda", "tensorrt"]

CPU_PROVIDER = "CPUExecutionProvider"
_PROVIDERS: dict[Device, list[str]] = {
    "cpu": [CPU_PROVIDER],
    "cuda": ["CUDAExecutionProvider", CPU_PROVIDER],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU_PROVIDER],
}
_INPUTS, _OUTPUT = ["image", "mask"], "output"
_DEFAULT_SIDE = 178
# On a CPU a batch takes as long as its pictures one by one, and its memory besides.
_BATCH_CPU, _BATCH_GPU = 1, 8


class Runtime:
    """One model, loaded once; its methods may be called from several threads.

    Attributes:
        version: the model's version, from its metadata; else made from the file's sha256.
        side: height and width in pixels that the model was trained on.
        metadata: what the exporter wrote into the file.
        provider: the ONNX Runtime execution provider that runs the model.
        batch: how many pictures of the trained size are run at a time.
    """

    def __init__(
        self, path: Path, *, device: Device = "cpu", require_gpu: bool = False, threads: int = 0
    ) -> None:
        """Load a model.

        Args:
            path: an ONNX file under the graph contract (inputs `image`, `mask`; output `output`).
            device: where to run it; a GPU that is not there falls back to the CPU, with a warning.
            require_gpu: refuse to fall back.
            threads: CPU threads that share one run, 0 for one per core.

        Raises:
            ModelFileException: there is no such file, or it is no inpainting model.
            DeviceUnavailableException: a GPU is required and does not run the model.
        """
        if device != "cpu":
            ort.preload_dlls()  # CUDA installed by pip lies where the system's loader does not look
        providers = [provider for provider in _PROVIDERS[device] if provider in ort.get_available_providers()]
        self._session = _open(path, providers, threads)
        # ONNX Runtime drops a provider whose libraries do not load and tries the next: ask who is left.
        self.provider: str = self._session.get_providers()[0]
        if self.provider == CPU_PROVIDER and (require_gpu or device != "cpu"):
            problem = (
                f"No GPU runs the model: the device asked for is '{device}', "
                f"the providers available here are {', '.join(ort.get_available_providers())}."
            )
            if require_gpu:
                raise DeviceUnavailableException(f"{problem} {_advice()}, or require no GPU.")
            logger.warning("%s The CPU does.", problem)
        self.batch = _BATCH_CPU if self.provider == CPU_PROVIDER else _BATCH_GPU
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.version = _version(path, self.metadata)
        self.side = _side(path, self.metadata)
        self._try_out(path)

    def run(self, images: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill pictures.

        Args:
            images: [N,3,H,W] float32 in [0, 1], H and W at least 32; what is under a hole does not matter.
            masks: [N,1,H,W] float32, 1 = known, 0 = hole.

        Returns:
            [N,3,H,W] float32 in [0, 1], the known pixels as they came.

        Raises:
            ModelOutputException: the model answered NaN or infinity.
        """
        parts = [
            self._session.run([_OUTPUT], {"image": images[part], "mask": masks[part]})[0]
            for part in self._parts(images.shape)
        ]
        output = np.concatenate(parts) if len(parts) > 1 else parts[0]
        if not np.isfinite(output).all():
            raise ModelOutputException("The model answered NaN or infinity: it is damaged or badly exported.")
        return np.asarray(output)

    def _parts(self, shape: tuple[int, ...]) -> Iterator[slice]:
        """Cut a batch so that one run takes no more memory than `batch` pictures of the trained size."""
        step = max(1, self.batch * self.side**2 // (shape[2] * shape[3]))
        return (slice(start, start + step) for start in range(0, shape[0], step))

    def _try_out(self, path: Path) -> None:
        """Run once, so that a model that cannot answer stops the start and nobody waits for a first run."""
        mask = np.ones((1, 1, self.side, self.side), np.float32)
        mask[:, :, self.side // 4 : self.side // 2] = 0
        try:
            output = self.run(np.full((1, 3, self.side, self.side), 0.5, np.float32), mask)
        except Exception as error:
            raise ModelFileException(f"The model in {path} cannot answer: {error}") from error
        if output.shape != (1, 3, self.side, self.side):
            raise ModelFileException(f"The model in {path} answers {output.shape}, not a picture.")


def _open(path: Path, providers: list[str], threads: int) -> ort.InferenceSession:
    if not path.is_file():
        raise ModelFileException(f"There is no model file {path}.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # The arena stays as it is, on: it keeps the memory of the largest run, which the windows' size bounds, and spares
    # each run fresh pages, a third of its time. A pattern would be kept for each size of picture there ever was.
    options.enable_mem_pattern = False
    # Threads that spin while they wait are a little faster on an idle machine, and several times slower on a busy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(path, options, providers=providers)
    except Exception as error:
        raise ModelFileException(f"{path} is not a model that ONNX Runtime can load: {error}") from error
    names = sorted(node.name for node in session.get_inputs()), [node.name for node in session.get_outputs()]
    if names != (_INPUTS, [_OUTPUT]):
        raise ModelFileException(
            f"{path} is no inpainting model: its inputs and outputs are {names[0]} and {names[1]}, "
            f"where {_INPUTS} and {[_OUTPUT]} are right."
        )
    return session


def _advice() -> str:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        return "Ask for 'cuda' or 'tensorrt' where there are a driver and a GPU that this process may use"
    return "Install onnxruntime-gpu and ask for 'cuda' or 'tensorrt'"


def _version(path: Path, metadata: dict[str, str]) -> str:
    version = metadata.get("model_version") or f"sha256-{_sha256(path)[:12]}"
    if not (version.isascii() and version.isprintable()):  # it goes into a header
        raise ModelFileException(f"{path} gives its model_version as {version!r}: plain ASCII is right.")
    return version


def _side(path: Path, metadata: dict[str, str]) -> int:
    text = metadata.get("model_size", str(_DEFAULT_SIDE))
    if not text.isdecimal() or int(text) < SMALLEST:
        raise ModelFileException(
            f"{path} gives its model_size as {text!r}: a number from {SMALLEST} is right."
        )
    return int(text)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
