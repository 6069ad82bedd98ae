"""The wheel and the sdist, as they would be uploaded and installed."""

import tarfile
import zipfile
from pathlib import Path

import pytest
from distributions import assert_twine_accepts, build, install, metadata, run
from inpaint_loopback import LoopbackServer

PROJECT = Path(__file__).parents[3] / "clients" / "python"


@pytest.fixture(scope="module")
def wheel_and_sdist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(PROJECT, tmp_path_factory.mktemp("distribution"), "src", "pyproject.toml", "README.md")


def test_twine_accepts_both(wheel_and_sdist: tuple[Path, Path]) -> None:
    assert_twine_accepts(*wheel_and_sdist)


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
    site_packages = install(wheel, tmp_path / "venv")
    bin_folder = tmp_path / "venv" / "bin"
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
