"""The server's wheel and sdist, as they would be uploaded, installed and used outside the repository."""

import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from distributions import assert_twine_accepts, build, install, metadata, run
from engines import FLOAT_MODEL, MARKS_MODEL, MODEL, ROOT
from inpaint_client import InpaintClient
from sample_pictures import encode, encode_mask, face, scratch

PARTS = ("export", "serving", "training", "models", "pyproject.toml", "setup.py", "README.md", "LICENSE")
PHOTO, HOLE = face(120, 100), scratch(120, 100, 7)

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def wheel_and_sdist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(ROOT, tmp_path_factory.mktemp("distribution"), *PARTS)


@pytest.fixture(scope="module")
def environment(wheel_and_sdist: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheel and what its extra `serve` needs."""
    folder = tmp_path_factory.mktemp("environment")
    install(wheel_and_sdist[0], folder, "serve", "http", "batch", "cpu")
    return folder


def test_both_can_be_uploaded_and_contain_the_model_with_its_card(wheel_and_sdist: tuple[Path, Path]) -> None:
    assert_twine_accepts(*wheel_and_sdist)
    wheel, sdist = wheel_and_sdist
    fields = metadata(wheel)
    assert (fields["Name"], fields["License-Expression"]) == ("inpaint-deployment", "Apache-2.0")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for model in (MODEL, FLOAT_MODEL, MARKS_MODEL):
            assert archive.read(f"serving/default/{model.relative_to(ROOT / 'models')}") == model.read_bytes()
        assert "CelebA" in archive.read("serving/default/README.md").decode()
    assert {"serving/core/graphs/lama.yaml", "serving/torchserve/config.properties"} < set(names)
    assert not [name for name in names if name.endswith(".safetensors") or name.startswith("tests/")]
    with tarfile.open(sdist) as archive:
        parts = {Path(name).name for name in archive.getnames()}
        assert {MODEL.name, FLOAT_MODEL.name, MARKS_MODEL.name} < parts


def test_the_server_runs_outside_the_repository(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "bin" / "python"), "-m", "serving", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r" at (http://\S+) ", process.stdout.readline())
            assert found
            with InpaintClient(found[1]) as client:
                assert client.fill(PHOTO, HOLE).model == "inpaint"
                assert client.find_marks(PHOTO).height == len(PHOTO)
        finally:
            process.terminate()


def test_folders_are_filled_outside_the_repository(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode(PHOTO))
    (tmp_path / "mask.png").write_bytes(encode_mask(HOLE))
    python = environment / "bin" / "python"
    run(python, "-m", "serving.batch", "photos", "--mask", "mask.png", "-o", "filled", cwd=tmp_path)
    assert (tmp_path / "filled" / "a.png").is_file()
