"""The wheel and the sdist, as they would be uploaded and installed."""

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from inpaint_loopback import LoopbackServer
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[3] / "clients" / "python"


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel_and_sdist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it."""
    folder = tmp_path_factory.mktemp("distribution")
    shutil.copytree(PROJECT, folder / "project", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "project")
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return wheel, sdist


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_twine_accepts_both(wheel_and_sdist: tuple[Path, Path]) -> None:
    assert run(sys.executable, "-m", "twine", "check", "--strict", *wheel_and_sdist).count("PASSED") == 2


def test_both_contain_the_package_and_its_types(wheel_and_sdist: tuple[Path, Path]) -> None:
    wheel, sdist = wheel_and_sdist
    expected = {path.name for path in (PROJECT / "src" / "inpaint_client").iterdir() if path.is_file()}
    assert "py.typed" in expected
    with zipfile.ZipFile(wheel) as archive:
        packed = {Path(name).name for name in archive.namelist() if name.startswith("inpaint_client/")}
    assert packed == expected
    with tarfile.open(sdist) as archive:
        names = [Path(name) for name in archive.getnames()]
    assert {name.name for name in names if name.parent.name == "inpaint_client"} == expected


def test_the_metadata_is_complete(wheel_and_sdist: tuple[Path, Path]) -> None:
    fields = metadata(wheel_and_sdist[0])
    assert fields["Name"] == "inpaint-client"
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Requires-Python"] == ">=3.11"
    assert "## Command line" in fields.get_payload()


def test_the_wheel_works_with_nothing_but_its_dependencies(
    wheel_and_sdist: tuple[Path, Path],
    tmp_path: Path,
    server: LoopbackServer,
    photo_png: bytes,
    mask_png: bytes,
) -> None:
    wheel = wheel_and_sdist[0]
    venv.create(tmp_path / "venv", symlinks=True)
    bin_folder = tmp_path / "venv" / "bin"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        bin_folder / "python",
        "install",
        "--no-deps",
        "--no-index",
        wheel,
    )
    (site_packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    link_dependencies(metadata(wheel).get_all("Requires-Dist") or [], site_packages)

    version = metadata(wheel)["Version"]
    assert run(bin_folder / "inpaint", "--version") == f"inpaint {version}\n"
    code = "import inpaint_client, sys; print(inpaint_client.__file__, 'numpy' in sys.modules)"
    assert (
        run(bin_folder / "python", "-c", code)
        == f"{site_packages / 'inpaint_client' / '__init__.py'} False\n"
    )
    (tmp_path / "photo.png").write_bytes(photo_png)
    (tmp_path / "mask.png").write_bytes(mask_png)
    files = [tmp_path / "photo.png", tmp_path / "mask.png", "-o", tmp_path / "filled.png"]
    run(bin_folder / "inpaint", "fill", *files, "--url", server.url)
    assert (tmp_path / "filled.png").is_file()


def link_dependencies(requirements: list[str], site_packages: Path) -> None:
    """Install these requirements, and theirs, as links to the packages of this environment."""
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        distribution = importlib.metadata.distribution(requirement.name)
        assert distribution.version in requirement.specifier
        for name in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            link = site_packages / name
            if not link.is_symlink():
                link.symlink_to(str(distribution.locate_file(name)))
        link_dependencies(distribution.requires or [], site_packages)
