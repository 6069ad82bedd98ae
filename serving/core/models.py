"""Load a server's models from sources such as `lama=lama.onnx`, a file or a folder."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.core.errors import SettingsError
from serving.core.runtime import NAME_RULE, Device, Runtime, is_name

_SUFFIX = ".onnx"
_PACKAGE = Path(__file__).parents[1]


def default_model(device: Device = "cpu") -> Path:
    """Return the model that ships, in the form that is fastest on a device: 8 bits on a CPU, float32 on a GPU."""
    return packaged("inpaint-int8.onnx" if device == "cpu" else "inpaint.onnx")


def packaged(name: str) -> Path:
    """Return the path of a model file that ships: in the installed package, or else in the repository."""
    installed = _PACKAGE / "default" / name
    return installed if installed.is_file() else _PACKAGE.parent / "models" / name


@dataclass(frozen=True)
class ModelSource:
    """Where a model is.

    Attributes:
        path: the ONNX file.
        name: its name, or None to take it from the file's metadata.
    """

    path: Path
    name: str | None = None


def model_sources(texts: Sequence[str]) -> list[ModelSource]:
    """Return the models given by texts such as `lama=lama.onnx`, a file, or a folder of models.

    The models of a folder are named after their files.

    Raises:
        SettingsError: a folder has no model, or a name is invalid.
    """
    return [source for text in texts for source in _sources(text)]


def _sources(text: str) -> Iterator[ModelSource]:
    name, separator, path = text.partition("=")
    # A path may contain "=", too, but a name contains no path separator.
    if separator and not {"/", "\\"}.intersection(name):
        if not is_name(name):
            raise SettingsError(f"The model name {name!r:.80} must be {NAME_RULE}.")
        if Path(path).is_dir():
            raise SettingsError(f"{text} gives a folder a name: only a file can have one.")
        yield ModelSource(Path(path), name)
        return
    folder = Path(text)
    if not folder.is_dir():
        yield ModelSource(folder)
        return
    files = sorted(folder.glob(f"*{_SUFFIX}"))
    if not files:
        raise SettingsError(f"There is no {_SUFFIX} file in the folder {folder}.")
    for file in files:
        if not is_name(file.stem):
            raise SettingsError(
                f"The model in {file} is named after its file, and a name must be {NAME_RULE}: rename it, or name it "
                f"with NAME={file}."
            )
        yield ModelSource(file, file.stem)


def load_models(
    sources: Iterable[ModelSource],
    *,
    device: Device = "cpu",
    require_gpu: bool = False,
    threads: int = 0,
    shared_threads: int | None = None,
) -> list[Runtime]:
    """Load models; `Runtime` describes the arguments.

    Raises:
        SettingsError: two models have the same name.
        ModelFileError, DeviceUnavailableError: as `Runtime` does.
    """
    models: dict[str, tuple[Path, Runtime]] = {}
    for source in sources:
        runtime = Runtime(
            source.path,
            name=source.name,
            device=device,
            require_gpu=require_gpu,
            threads=threads,
            shared_threads=shared_threads,
        )
        if runtime.name in models:
            raise SettingsError(
                f"The models {models[runtime.name][0]} and {source.path} are both named '{runtime.name}': give them "
                "names with NAME=PATH."
            )
        models[runtime.name] = source.path, runtime
    return [runtime for _, runtime in models.values()]
