"""The model in ONNX Runtime: load it on a device, read its metadata, run it."""

import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort

from serving.core.adapter import Adapter
from serving.core.binding import Binding
from serving.core.description import find_binding
from serving.core.errors import DeviceUnavailableError, ModelFileError
from serving.core.graph import MODEL_NAME, Floats, MetadataKey
from serving.core.tiling import MIN_WINDOW
from serving.core.turns import Turn, no_turns

logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda", "tensorrt"]

CPU_PROVIDER = "CPUExecutionProvider"
_PROVIDERS: dict[Device, list[str]] = {
    "cpu": [CPU_PROVIDER],
    "cuda": ["CUDAExecutionProvider", CPU_PROVIDER],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU_PROVIDER],
}
# On a CPU a batch is no faster than its images one by one, and takes more memory.
_BATCH_CPU, _BATCH_GPU = 1, 8

NAME_RULE = "letters, digits, '.', '_' and '-', at most 64, with a letter or digit first"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Tell whether a model may have this name: it is part of URLs and file names."""
    return _NAME.fullmatch(text) is not None


class Runtime:
    """One loaded model. Its methods are thread-safe.

    Attributes:
        name: the model's name: as given, or from its metadata, or else `inpaint`.
        version: the model's version from its metadata, or else derived from the file's sha256.
        side: height and width in pixels that the model was trained on, or its fixed size.
        fixed: whether the model takes no larger image than that.
        metadata: the ONNX file's metadata; `graph.MetadataKey` lists the keys.
        provider: the ONNX Runtime execution provider that runs the model.
        batch: how many images of the trained size are run at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str | None = None,
        device: Device = "cpu",
        require_gpu: bool = False,
        threads: int = 0,
        shared_threads: int | None = None,
    ) -> None:
        """Load a model.

        Args:
            path: an ONNX file that follows the graph contract (`serving.core.graph`) or has a description.
            name: the model's name in URLs.
            device: where to run it; without a GPU it falls back to the CPU, with a warning.
            require_gpu: fail instead of falling back.
            threads: CPU threads of a run that may use every core, 0 for one per core.
            shared_threads: CPU threads of each run when several run at once; None for the same number. If it
                differs, the model is loaded twice: runs that share threads take a tenth longer.

        Raises:
            ModelFileError: the file is missing, or is not an inpainting model, or its description is wrong.
            DeviceUnavailableError: a GPU is required, and no GPU runs the model.
        """
        if device != "cpu":
            ort.preload_dlls()  # the system's loader does not find CUDA installed by pip
        providers = [provider for provider in _PROVIDERS[device] if provider in ort.get_available_providers()]
        session = open_session(path, providers, threads)
        # ONNX Runtime silently skips a provider whose libraries do not load: ask which one is in use.
        self.provider: str = session.get_providers()[0]
        if self.provider == CPU_PROVIDER and (require_gpu or device != "cpu"):
            problem = (
                f"No GPU runs the model: the requested device is '{device}', "
                f"the available providers are {', '.join(ort.get_available_providers())}."
            )
            if require_gpu:
                raise DeviceUnavailableError(f"{problem} {_advice()}, or do not require a GPU.")
            logger.warning("%s Falling back to the CPU.", problem)
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        binding = find_binding(path, self.metadata, session.get_inputs(), session.get_outputs())
        self.name = name or _name(path, self.metadata)
        self.version = _version(path, self.metadata)
        self.side = _side(path, self.metadata, binding)
        self.fixed = binding.fixed is not None
        self._one_by_one = binding.fixed_batch
        self.batch = _BATCH_CPU if self._one_by_one or self.provider == CPU_PROVIDER else _BATCH_GPU
        self._adapter = Adapter(session, binding)
        self._check(path)
        self._shared_adapter = self._adapter
        if self.provider == CPU_PROVIDER and shared_threads not in (None, threads):
            self._shared_adapter = self._adapter.in_session(open_session(path, providers, shared_threads))

    def run(self, images: Floats, known: Floats, turn: Turn = no_turns) -> Floats:
        """Fill images.

        Args:
            images: [N,3,H,W] float32 in [0, 1], H and W at least 32, and at most `side` if `fixed`;
                values inside a hole have no effect.
            known: [N,1,H,W] float32, 1 = known, 0 = hole.
            turn: entered for each run of the model; a batch may take several.

        Returns:
            [N,3,H,W] float32 in [0, 1], known pixels unchanged.

        Raises:
            ModelOutputError: the output contains NaN or infinity.
            TooManyPixelsError: the images are larger than the model's fixed size.
        """
        parts = [self._run(images[part], known[part], turn) for part in self._parts(images.shape)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _run(self, images: Floats, known: Floats, turn: Turn) -> Floats:
        with turn() as every_core:
            return (self._adapter if every_core else self._shared_adapter).run(images, known)

    def _parts(self, shape: tuple[int, ...]) -> Iterator[slice]:
        """Split a batch so that one run takes no more memory than `batch` images of the trained size."""
        step = 1 if self._one_by_one else max(1, self.batch * self.side**2 // (shape[2] * shape[3]))
        return (slice(start, start + step) for start in range(0, shape[0], step))

    def _check(self, path: Path) -> None:
        """Run once, so that a model that cannot run fails at startup and the first request is not slow."""
        try:
            self._adapter.check(self.side)
        except ModelFileError as error:
            raise ModelFileError(f"The model in {path} cannot be used: {error}") from error
        except Exception as error:
            raise ModelFileError(f"The model in {path} cannot be run: {error}") from error


def open_session(path: Path, providers: list[str], threads: int) -> ort.InferenceSession:
    """Load an ONNX file.

    Args:
        path: the file.
        providers: ONNX Runtime's execution providers, the preferred one first.
        threads: CPU threads of a run, 0 for one per core.

    Raises:
        ModelFileError: the file is missing, or ONNX Runtime cannot load it.
    """
    if not path.is_file():
        raise ModelFileError(f"There is no model file {path}.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # The arena stays enabled: it keeps the memory of the largest run, which the window size bounds, and saves a third
    # of each run's time. Memory patterns are disabled: one would be kept for every image size ever seen.
    options.enable_mem_pattern = False
    # Spinning threads are slightly faster on an idle machine, but several times slower on a busy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(path, options, providers=providers)
    except Exception as error:
        raise ModelFileError(f"{path} is not a model that ONNX Runtime can load: {error}") from error


def _advice() -> str:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        return "Use 'cuda' or 'tensorrt' on a host with a driver and a GPU that this process may use"
    return "Install onnxruntime-gpu and use 'cuda' or 'tensorrt'"


def _version(path: Path, metadata: dict[str, str]) -> str:
    version = metadata.get(MetadataKey.MODEL_VERSION) or f"sha256-{_sha256(path)[:12]}"
    if not (version.isascii() and version.isprintable()):  # it is sent in a header
        raise ModelFileError(f"{path} has the model_version {version!r}: it must be printable ASCII.")
    return version


def _name(path: Path, metadata: dict[str, str]) -> str:
    name = metadata.get(MetadataKey.MODEL_NAME) or MODEL_NAME
    if not is_name(name):
        raise ModelFileError(f"{path} has the model_name {name!r:.80}: it must be {NAME_RULE}.")
    return name


def _side(path: Path, metadata: dict[str, str], binding: Binding) -> int:
    text = metadata.get(MetadataKey.MODEL_SIZE)
    if text is not None and (not text.isdecimal() or int(text) < MIN_WINDOW):
        raise ModelFileError(
            f"{path} has the model_size {text!r}: it must be an integer of at least {MIN_WINDOW}."
        )
    side = binding.side if text is None or binding.fixed else int(text)
    if side < MIN_WINDOW:
        raise ModelFileError(
            f"{path} takes images of {side} pixels: the minimum that is supported is {MIN_WINDOW}."
        )
    return side


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
