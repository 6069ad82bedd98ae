"""Build the project's distributions as they would be uploaded, and install them in a clean environment."""

import importlib.metadata
import shutil
import subprocess
import sys
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from packaging.requirements import Requirement


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command and return its output."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(project: Path, folder: Path, *parts: str) -> tuple[Path, Path]:
    """Build an sdist from a copy of these parts of a project, and a wheel from that. Return wheel and sdist."""
    copy = folder / "project"
    copy.mkdir()
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
    for part in parts:
        if (project / part).is_dir():
            shutil.copytree(project / part, copy / part, ignore=ignored)
        else:
            (copy / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project / part, copy / part)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", copy)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return wheel, sdist


def metadata(wheel: Path) -> Message:
    """The metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def assert_twine_accepts(*files: Path) -> None:
    """Metadata and README of a wheel and an sdist are fit for an upload."""
    assert run(sys.executable, "-m", "twine", "check", "--strict", *files).count("PASSED") == len(files)


def install(wheel: Path, folder: Path, *extras: str) -> Path:
    """Install a wheel and its dependencies alone in an environment in `folder`, which is made if it is missing.

    Returns the environment's site-packages folder. Its commands are in `folder/bin`.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, symlinks=True)
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    (site_packages,) = (folder / "lib").glob("python*/site-packages")
    _link_dependencies(metadata(wheel).get_all("Requires-Dist") or [], site_packages, extras)
    return site_packages


def _link_dependencies(requirements: list[str], site_packages: Path, extras: tuple[str, ...] = ()) -> None:
    """Install these requirements, and theirs, as links to the packages of this environment."""
    for requirement in map(Requirement, requirements):
        wanted = [
            requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            for extra in ("", *extras)
        ]
        if not any(wanted):
            continue
        distribution = importlib.metadata.distribution(requirement.name)
        assert distribution.version in requirement.specifier
        for name in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            link = site_packages / name
            if not link.exists():
                link.symlink_to(str(distribution.locate_file(name)))
        _link_dependencies(distribution.requires or [], site_packages, tuple(requirement.extras))
