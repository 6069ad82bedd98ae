"""Build of TorchServe's model archive `inpaint.mar`: the model, the handler, and the `serving` modules it imports.

The archive is self-contained: a TorchServe host needs onnxruntime, numpy, pillow and opencv, but not this project.
"""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import serving
from export.errors import ArtifactError
from serving.contract import MODEL_NAME
from serving.errors import InpaintException
from serving.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterable

_PACKAGE = Path(serving.__file__).parent
_TORCHSERVE = _PACKAGE / "torchserve"
_MANIFEST = "MAR-INF/MANIFEST.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in the zip format


def build_mar(artifact: Path, folder: Path) -> Path:
    """Package a model for TorchServe. The archive is reproducible, byte for byte.

    Args:
        artifact: An ONNX file that follows the graph contract.
        folder: Folder to write `inpaint.mar` to, atomically; created if missing.

    Returns:
        The archive's path.

    Raises:
        ArtifactError: The model is missing or not an inpainting model, or the archiver failed.
    """
    try:
        version = Runtime(artifact).version
    except InpaintException as error:
        raise ArtifactError(error.message) from error
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{MODEL_NAME}.mar"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".mar-") as scratch:
        archive = _archive(artifact, version, Path(scratch))
        finished = Path(scratch, "finished")
        finished.write_bytes(_reproducible(archive))
        finished.replace(target)
    return target


def _archive(artifact: Path, version: str, scratch: Path) -> Path:
    """Run the archiver with its own TMPDIR, because it deletes $TMPDIR/inpaint first."""
    sources, temporary = scratch / "sources", scratch / "temporary"
    temporary.mkdir(parents=True)
    handler = _TORCHSERVE / "handler.py"
    # The archiver flattens the folder that it is given, so put the package into a parent folder.
    for module in _imported(handler):
        copy = sources / module.relative_to(_PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, copy)
    command = [
        *(sys.executable, "-m", "model_archiver.model_packaging"),
        *("--model-name", MODEL_NAME),
        *("--version", version),
        *("--serialized-file", str(artifact)),
        *("--handler", str(handler)),
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
            f"The model archiver failed; is torch-model-archiver installed? It says: {reason}"
        )
    return scratch / f"{MODEL_NAME}.mar"


def _imported(module: Path) -> Iterable[Path]:
    """Return the modules of `serving` that a module imports, directly or indirectly, the package itself first."""
    found = [_PACKAGE / "__init__.py"]
    waiting = [module]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{serving.__name__}."):
                path = _PACKAGE.parent.joinpath(*str(node.module).split(".")).with_suffix(".py")
                if path not in found:
                    found.append(path)
                    waiting.append(path)
    return found


def _reproducible(archive: Path) -> bytes:
    """Return the archive without timestamps."""
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
