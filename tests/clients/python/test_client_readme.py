import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inpaint_loopback import LoopbackServer, encode
from PIL import Image

README = Path(__file__).parents[3] / "clients" / "python" / "README.md"


@pytest.fixture
def here(tmp_path: Path, photo: np.ndarray, mask_png: bytes) -> Path:
    """A folder with the files that the README uses."""
    jpeg = encode(photo, "JPEG")
    (tmp_path / "photo.jpg").write_bytes(jpeg)
    (tmp_path / "mask.png").write_bytes(mask_png)
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    for name in "abc":
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(jpeg)
        (tmp_path / "masks" / f"{name}.png").write_bytes(mask_png)
    return tmp_path


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL))


def assert_images(folder: Path, *names: str) -> None:
    for name in names:
        with Image.open(folder / name) as image:
            assert image.size == (48, 40)


def test_the_python_code_of_the_readme_runs(server: LoopbackServer, here: Path) -> None:
    code = blocks("python").replace("http://127.0.0.1:8080", server.url)
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"48 40 {100 / 1920} 1.2\n2 filled\n"
    assert_images(here, "filled.png", "marks.png", "a.png", "b.png", "c.png")


def test_the_commands_of_the_readme_run(server: LoopbackServer, here: Path) -> None:
    environment = os.environ | {
        "INPAINT_URL": server.url,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    commands = [line for line in blocks("sh").splitlines() if line]
    assert len(commands) == 6
    for command in commands:
        (here / "filled.png").unlink(missing_ok=True)
        done = subprocess.run(command, shell=True, cwd=here, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if "> filled.png" in command or "-o filled.png" in command:
            assert_images(here, "filled.png")
    assert_images(here, "marks.png")
    assert_images(here / "filled", "a.png", "b.png", "c.png")
    assert_images(here / "with-one-mask", "a.png", "b.png")
