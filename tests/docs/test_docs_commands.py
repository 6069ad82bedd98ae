"""Every command and every Python example in the documentation, run in a folder that looks like a clone."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from engines import ROOT, Engine, free_port, running
from other_graphs import LAMA_255, MIGAN, save_mean_filler
from pages import blocks, commands, name, pages_with
from PIL import Image

from serving.core.description import ready_descriptions
from serving.core.description_yaml import parse_description

TRAINING = ROOT / "docs" / "training.md"
BIN = Path(sys.executable).parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
STAGES = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]

SMALLER = {
    "python -m training fit": (
        "--trainer.max_steps 1 --trainer.limit_val_batches 1 --trainer.val_check_interval 1 --trainer.accelerator cpu "
        "--trainer.enable_progress_bar false --trainer.precision 32-true --data.batch_size 2 --data.workers 0"
    ),
    "python -m training marks": "--steps 2 --pictures 4 --count 1",
    "python -m training locate": "--steps 2 --pictures 4 --count 1",
    "python -m training evaluate": "--count 1 --rows 1 --workers 1 --masks fine",
    "python -m export parity": "--count 5",
}
"""Options appended to a command so that it takes only seconds."""


class Clone:
    """A folder with the parts of a clone that the commands need, and a server in place of the one at port 8080."""

    def __init__(self, folder: Path, address: str = "127.0.0.1:8080") -> None:
        self.folder, self.address = folder, address
        for part in ("docs", "models", "training"):
            (folder / part).symlink_to(ROOT / part)
        for part in ("serving", "clients/python"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file, signature in (("lama_fp32.onnx", LAMA_255), ("migan_pipeline_v2.onnx", MIGAN)):
            save_mean_filler(folder / file, signature)
        (folder / "FOLDER").mkdir()
        for part, file in (("photos", "scratched.png"), ("masks", "mask.png")):
            (folder / part).mkdir()
            shutil.copyfile(ROOT / "docs" / file, folder / part / "scratched.png")
        rng = np.random.default_rng(0)
        portrait = cv2.imread(str(ROOT / "docs/scratched.png"))
        assert portrait is not None
        for number in range(50):
            top, left = rng.integers(0, 512 - 178, 2)
            photo = portrait[top : top + 178, left : left + 178]
            cv2.imwrite(str(folder / "FOLDER" / f"photo-{number:02}.png"), photo)

    def localised(self, text: str) -> str:
        """A command or program that uses this server's address and the tests' environment."""
        return text.replace("127.0.0.1:8080", self.address).replace(".venv/bin/", "")

    def run(self, *command: str) -> None:
        settings = {
            "INPAINT_URL": f"http://{self.address}",
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"

    def shell(self, command: str) -> None:
        """Run a command to its end, and check the picture if it writes one."""
        (self.folder / "filled.png").unlink(missing_ok=True)
        self.run("bash", "-o", "pipefail", "-c", self.localised(command))
        if "filled.png" in command:
            self.check_filled()

    def here(self, command: str) -> None:
        """Run `python -m training` or `export` in this process: importing PyTorch takes longer than most of them."""
        smaller = next((more for start, more in SMALLER.items() if command.startswith(start)), "")
        _, _, module, *arguments = shlex.split(f"{command} {smaller}")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", [f"python -m {module}", *arguments])
            try:
                code = importlib.import_module(f"{module}.__main__").main(arguments)
            except SystemExit as end:
                code = end.code or 0
        assert code == 0, command

    def check_filled(self) -> None:
        with (
            Image.open(self.folder / "filled.png") as image,
            Image.open(ROOT / "docs/scratched.png") as photo,
        ):
            assert image.size == photo.size

    def server(self, command: str) -> None:
        """Start a server, wait until it fills a picture, and stop it."""
        port, stop, ports = free_port(following=2), "", ""
        if command.startswith("torchserve"):
            for number, name in enumerate(("INFERENCE", "MANAGEMENT", "METRICS")):
                ports += f"export TS_{name}_ADDRESS=http://127.0.0.1:{port + number}; "
            stop = "torchserve --stop"
        else:
            command = f"{re.sub(r' --port [0-9]+', '', command)} --port {port}"
        with tempfile.TemporaryDirectory() as temporary:  # the path of a socket in it must be short
            setting = f"export PATH={BIN}:$PATH PYTHONPATH={ROOT} TMPDIR={temporary}; cd {self.folder}"
            script = ["bash", "-c", f"{setting}; {ports}exec {command}"]
            with running("server", script, (port, port + 2), self.folder):
                subprocess.run(["bash", "-c", f"{setting}; {stop}"], check=True)

    def pip(self, command: str) -> None:
        self.run("bash", "-c", f"{self.localised(command)} --dry-run --no-deps --no-build-isolation")


def make(command: str) -> None:
    """Check that targets and variables exist. CI runs the recipes."""
    makefile = (ROOT / "Makefile").read_text()
    for word in command.split()[1:]:
        variable, is_variable, _ = word.partition("=")
        assert re.search(
            rf"^{variable} \?=" if is_variable else rf"^{word}:.* ## ", makefile, re.MULTILINE
        ), word


def docker(command: str) -> None:
    """Check that profiles, services and targets exist. The tests in `tests/deploy` build and run them."""
    profiles = {profile for service in COMPOSE["services"].values() for profile in service["profiles"]}
    assert set(re.findall(r"--profile (\S+)", command)) <= profiles
    assert set(re.findall(r"--scale (\w+)=", command)) <= set(COMPOSE["services"])
    assert set(re.findall(r"--target (\S+)", command)) <= STAGES


def pytest_tier(command: str) -> None:
    assert command.split()[-1] in {marker.partition(":")[0] for marker in PYTEST["markers"]}


def pre_commit(_command: str) -> None:
    subprocess.run([BIN / "pre-commit", "validate-config"], cwd=ROOT, check=True)


def runner(command: str, clone: Clone) -> Callable[[str], None]:
    """The function that runs a command; a command that no pattern matches fails its test."""
    settings = r"(?:[A-Z_]+=\S+ )*"
    for pattern, run in {
        rf"{settings}make ": make,
        rf"{settings}docker (compose|build|run) ": docker,
        r"pre-commit ": pre_commit,
        r"pytest -m ": pytest_tier,
        r"(\.venv/bin/)?pip install ": clone.pip,
        r"\. \.venv/bin/activate$": lambda _: None,
        r"curl |printf |(\.venv/bin/)?inpaint |python -m serving\.batch ": clone.shell,
        r"python -m (training|export) ": clone.here,
        r"python -m serving\b|torchserve ": clone.server,
    }.items():
        if re.match(pattern, command):
            return run
    raise AssertionError(f"no test runs the command {command}")


@pytest.fixture
def clone(onnx_engine: Engine, tmp_path: Path) -> Clone:
    return Clone(tmp_path, f"127.0.0.1:{onnx_engine.port}")


@pytest.mark.parametrize("page", [page for page in pages_with("sh") if page != TRAINING], ids=name)
def test_the_commands_run(page: Path, clone: Clone) -> None:
    for command in commands(page):
        runner(command, clone)(command)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # as it is for a user
def test_the_commands_of_training_run(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    for command in commands(TRAINING):
        runner(command, clone)(command)


@pytest.mark.parametrize("page", pages_with("python"), ids=name)
def test_the_python_examples_run(page: Path, clone: Clone) -> None:
    for code in blocks(page, "python"):
        clone.run(sys.executable, "-W", "error", "-c", clone.localised(code))
        if "filled.png" in code:
            clone.check_filled()


@pytest.mark.parametrize("page", pages_with("yaml"), ids=name)
def test_compose_files_and_descriptions_of_graphs_are_valid(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "yaml")):
        if page.name == "models.md":
            parse_description(text, page.name, "description", ready_descriptions())
        else:
            (tmp_path / f"{number}.yaml").write_text(text)
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    files = list(map(str, tmp_path.iterdir()))
    if not files:
        return
    command += files
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
