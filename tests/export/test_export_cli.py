"""`python -m export`: a user's mistake gives one line and an exit status, and leaves every file as it was."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from exporting import Completed, export_command
from random_networks import random_network

from export.__main__ import main
from training.weights import save_weights

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def files(checkpoint: Path, fp32: Path, fp16: Path, photos: Path, tmp_path: Path) -> Path:
    """A folder with the files that the mistakes below need."""
    shutil.copy(checkpoint, tmp_path / "tiny.safetensors")
    shutil.copy(fp32, tmp_path / "fp32.onnx")
    shutil.copy(fp16, tmp_path / "fp16.onnx")
    save_weights(tmp_path / "other.safetensors", random_network("report", 1), {})
    (tmp_path / "garbage.safetensors").write_bytes(b"garbage" * 100)
    (tmp_path / "garbage.onnx").write_bytes(b"garbage" * 100)
    (tmp_path / "cut.onnx").write_bytes(fp32.read_bytes()[:-5000])
    (tmp_path / "photos").symlink_to(photos)
    (tmp_path / "few").mkdir()
    for photo in sorted(photos.iterdir())[:4]:
        shutil.copy(photo, tmp_path / "few")
    (tmp_path / "pair").mkdir()
    for photo in sorted(photos.iterdir())[:2]:
        shutil.copy(photo, tmp_path / "pair")
    (tmp_path / "empty").mkdir()
    return tmp_path


MISTAKES = {
    "onnx missing.safetensors -o out.onnx": "there is no weights file missing.safetensors",
    "onnx garbage.safetensors -o out.onnx": "garbage.safetensors is not a complete safetensors file",
    "onnx fp32.onnx -o out.onnx": "fp32.onnx is not a complete safetensors file",
    "onnx empty -o out.onnx": "there is no weights file empty",
    "all missing.safetensors -o out --data photos": "there is no weights file missing.safetensors",
    "all tiny.safetensors -o out --data few": "needs at least 5 pictures, not 1",
    "all tiny.safetensors -o out --data nowhere": "there is no data folder nowhere",
    "int8 missing.onnx -o out.onnx --data photos": "missing.onnx cannot be opened as ONNX",
    "int8 garbage.onnx -o out.onnx --data photos": "garbage.onnx cannot be opened as ONNX",
    "int8 cut.onnx -o out.onnx --data photos": "cut.onnx cannot be opened as ONNX",
    "int8 fp16.onnx -o out.onnx --data photos": "fp16.onnx is not a float32 artifact",
    "int8 fp32.onnx -o out.onnx --data nowhere": "there is no data folder nowhere",
    "int8 fp32.onnx -o out.onnx --data empty": "empty contains no pictures",
    "int8 fp32.onnx -o out.onnx --data photos --count 0": "count must be at least 1",
    "int8 fp32.onnx -o out.onnx --data pair": "split of pair is empty",
    "parity missing.safetensors fp32.onnx --data photos -o out": "there is no weights file missing.safetensors",
    "parity tiny.safetensors missing.onnx --data photos -o out": "missing.onnx cannot be opened as ONNX",
    "parity tiny.safetensors cut.onnx --data photos -o out": "cut.onnx cannot be opened as ONNX",
    "parity other.safetensors fp32.onnx --data photos -o out": "was exported from another checkpoint",
    "parity tiny.safetensors fp32.onnx --data photos --count 4 -o out": "needs at least 5 pictures, not 4",
    "parity tiny.safetensors fp32.onnx --data few --split all -o out": "needs at least 5 pictures, not 4",
    "parity tiny.safetensors fp32.onnx --data nowhere -o out": "there is no data folder nowhere",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line(
    command: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(files)
    before = sorted(files.rglob("*"))
    assert main(command.split()) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    assert MISTAKES[command] in captured.err
    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    [
        "",
        "tensorflow",
        "onnx",
        "onnx tiny.safetensors",
        "all tiny.safetensors -o out --data photos --formats tflite",
        "onnx tiny.safetensors -o out.onnx --int4",
        "int8 fp32.onnx -o out.onnx",
        "int8 fp32.onnx -o out.onnx --data photos --count many",
        "parity tiny.safetensors --data photos -o out",
        "parity tiny.safetensors fp32.onnx --data photos --split train -o out",
    ],
)
def test_a_misspelt_command_line_is_explained(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(command.split())
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usage: python -m export")
    assert "error: " in captured.err.splitlines()[-1]


def test_a_checkpoint_is_exported_in_every_format(exported: tuple[Completed, Path]) -> None:
    completed, folder = exported
    made = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    onnx = ["tiny.onnx", "tiny-fp16.onnx", "tiny-int8.onnx"]
    assert made == {*onnx, "model-store/inpaint.mar", "parity.json", "parity.md"}
    with zipfile.ZipFile(folder / "model-store" / "inpaint.mar") as archive:
        assert archive.read("tiny-int8.onnx") == (folder / "tiny-int8.onnx").read_bytes()
    table = (folder / "parity.md").read_text()
    written = [f"written: out/{name}\n" for name in onnx]
    assert completed.stdout == f"{''.join(written)}{table}\nwritten: out/model-store/inpaint.mar\n"
    for title in ("PyTorch", *onnx):
        assert f"{title}: 100%" in completed.stderr
    assert "error" not in completed.stderr


def test_the_formats_can_be_chosen(report_fp32: Path) -> None:
    """The float32 file is always written."""
    assert {file.name for file in report_fp32.parent.iterdir()} == {"report.onnx", "parity.json", "parity.md"}


@pytest.mark.parametrize("command", ["", "all ", "onnx ", "int8 ", "mar ", "parity "])
def test_every_command_has_help(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(f"{command}--help".split())
    assert stop.value.code == 0
    assert f"usage: python -m export {command}" in capsys.readouterr().out


def make_a_folder(target: Path) -> None:
    target.mkdir()


def make_its_folder_a_file(target: Path) -> None:
    target.parent.rmdir()
    target.parent.write_text("a file")


@pytest.mark.parametrize("obstacle", [make_a_folder, make_its_folder_a_file])
def test_an_output_that_cannot_be_written(
    obstacle: Callable[[Path], None], fp32: Path, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    target = tmp_path / "folder" / "int8.onnx"
    target.parent.mkdir()
    obstacle(target)
    before = sorted(tmp_path.rglob("*"))
    assert main(["int8", str(fp32), "-o", str(target), "--data", str(photos), "--count", "1"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert str(target.parent) in last
    assert sorted(tmp_path.rglob("*")) == before


def test_the_process_ends_with_the_status(tmp_path: Path) -> None:
    completed = export_command("onnx", "missing.safetensors", "-o", "out.onnx", folder=tmp_path)
    assert completed.returncode == 1
    assert completed.stderr == (
        "error: there is no weights file missing.safetensors; train one with `python -m training fit`\n"
    )
    assert completed.stdout == ""
    assert list(tmp_path.iterdir()) == []
