"""Build TorchServe's model archive, `NAME.mar`, from an ONNX file, the handler and the package `serving.core`.

The archive is self-contained: besides TorchServe, which needs pyyaml, a host needs onnxruntime, numpy, pillow and
opencv, but not this project.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import serving
from export.errors import ArtifactError
from serving.core.description import description_file
from serving.core.errors import InpaintError
from serving.core.runtime import NAME_RULE, Runtime, is_name
from training.files import write_atomically

_PACKAGE = Path(serving.__file__).parent
_TORCHSERVE = _PACKAGE / "torchserve"
_MANIFEST = "MAR-INF/MANIFEST.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can store


def build_mar(artifact: Path, folder: Path, name: str | None = None) -> Path:
    """Pack a model for TorchServe. The same model always gives the same archive, byte for byte.

    Args:
        artifact: An ONNX file that follows the graph contract, or a described one; a YAML file beside it is packed.
        folder: Where to write `NAME.mar`, atomically; created if necessary.
        name: The model's name; by default the one in its metadata, or else `inpaint`.

    Returns:
        The archive's path.

    Raises:
        ArtifactError: The model is missing or is not an inpainting model, its name is invalid, or the archiver failed.
    """
    if name is not None and not is_name(name):
        raise ArtifactError(f"The model name {name!r:.80} must be {NAME_RULE}.")
    try:
        model = Runtime(artifact, name=name)
    except InpaintError as error:
        raise ArtifactError(error.message) from error
    target = folder / f"{model.name}.mar"
    with tempfile.TemporaryDirectory() as scratch:
        write_atomically(target, _reproducible(_archive(artifact, model, Path(scratch))))
    return target


def _archive(artifact: Path, model: Runtime, scratch: Path) -> Path:
    """Run the archiver, which deletes $TMPDIR/NAME before it starts and therefore gets a TMPDIR of its own."""
    sources, temporary = scratch / "sources", scratch / "temporary"
    temporary.mkdir(parents=True)
    _copy_core(sources)
    if (description := description_file(artifact)).is_file():
        shutil.copyfile(description, sources / description.name)
    command = [
        *(sys.executable, "-m", "model_archiver.model_packaging"),
        *("--model-name", model.name),
        *("--version", model.version),
        *("--serialized-file", str(artifact)),
        *("--handler", str(_TORCHSERVE / "handler.py")),
        *("--extra-files", str(sources)),
        *("--config-file", str(_TORCHSERVE / "model-config.yaml")),
        *("--export-path", str(scratch)),
        *("--archive-format", "zip-store"),  # weights do not compress
    ]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ArtifactError(
            f"The model archiver failed; is torch-model-archiver installed? Its error: {reason}"
        )
    return scratch / f"{model.name}.mar"


def _copy_core(sources: Path) -> None:
    """Copy `serving.core` into a parent folder: the archiver flattens the folder that `--extra-files` names."""
    package = sources / _PACKAGE.name
    shutil.copytree(_PACKAGE / "core", package / "core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(_PACKAGE / "__init__.py", package / "__init__.py")


def _reproducible(archive: Path) -> bytes:
    """Return the archive without the creation times of itself and its files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == _MANIFEST:
                manifest = json.loads(content)
                manifest["createdOn"] = "01/01/1980 00:00:00"  # without it, TorchServe warns
                content = json.dumps(manifest, indent=2).encode()
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            new.writestr(entry, content)
    return buffer.getvalue()
