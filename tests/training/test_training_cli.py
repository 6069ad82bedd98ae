"""A user's mistakes on the command line: one line that says what would be right, an exit status, no traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import training_runs as runs

pytestmark = [
    # Lightning's command line still uses names that jsonargparse has deprecated.
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
    # On machines with more than two cores Lightning suggests more loader processes; ours have little to load.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


@pytest.fixture(scope="module")
def damaged_celeba(celeba: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny CelebA with one training picture cut short."""
    root = tmp_path_factory.mktemp("damaged") / "celeba"
    shutil.copytree(celeba, root)
    picture = root / "img_align_celeba" / "000004.jpg"
    picture.write_bytes(picture.read_bytes()[:2000])
    return root


def test_a_damaged_picture_ends_training_with_one_line(
    damaged_celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*runs.DEFAULT, "--data.workers", "0")
    assert runs.run_here(runs.arguments("default", damaged_celeba, tmp_path / "run", *options)) == 1
    picture = damaged_celeba / "img_align_celeba" / "000004.jpg"
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == (
        f"error: {picture} cannot be decoded as a picture; remove or replace it"
    )
    assert not (tmp_path / "run").exists()
    assert "Traceback" not in said.err + said.out


@pytest.mark.slow
def test_a_damaged_picture_beyond_the_budget_ends_training_without_losing_a_step(
    damaged_celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error comes from a loader process, which sends its whole traceback."""
    options = ("--data.memory", "0", "--data.workers", "1", "--data.seed", "2", "--trainer.max_epochs", "2")
    damaged = runs.arguments("report", damaged_celeba, tmp_path, *options, "--data.batch_size", "2")
    assert runs.run_here(damaged) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("error: ")
    assert "000004.jpg cannot be decoded as a picture; remove or replace it" in said.err.splitlines()[-1]
    assert "Traceback" not in said.err + said.out
    steps = runs.checkpoint(tmp_path / "last.ckpt")["global_step"]
    assert list(runs.curves(tmp_path)["train_loss"]) == list(range(steps))


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--data.root", "nowhere"], 1, "error: there is no data folder nowhere; give a folder of pictures"),
        (["--data.batch_size", "20"], 1, "has 14 training pictures, fewer than one batch of 20"),
        (["--data.masks", "{lines: 1}"], 1, "error: unknown mask preset lines; choose from report-text"),
        (["--data.validation_mask", "dots"], 1, "error: unknown mask preset dots"),
        (["--model.network.width", "0"], 1, "error: the network's width must be at least 1, not 0"),
        (["--ckpt_path", "nowhere.ckpt"], 1, "error: there is no checkpoint nowhere.ckpt"),
        (["--trainer.accelerator", "abacus"], 1, "error: invalid trainer options: "),
        (["--model.loss.norm", "l3"], 2, "l3"),
        (["--model.loss.style", "-1"], 1, "error: the loss's style must be at least 0, not -1.0"),
        (["--data.size", "31"], 1, "error: size must be at least 32, not 31"),
        (["--model.start", "nowhere.safetensors"], 1, "error: there is no weights file nowhere.safetensors"),
        (["--ema", "1.5"], 2, "1.5 does not conform to restriction v>=0 and v<1"),
        (["--config", "nowhere.yaml"], 2, "File does not exist"),
        (["--no_such_option", "3"], 2, "error: unrecognized arguments: --no_such_option 3"),
        (["--data.btch_size", "3"], 2, "--data.btch_size 3; did you mean --data.batch_size?"),
        (["--data.batch_size", "many"], 2, 'error: Parser key "data.batch_size": Expected a '),
        (["--trainer.precision", "7"], 2, "'auto'] - Expected a <class 'NoneType'> Got value: 7"),
        (["--data.mask_folder", "nowhere"], 1, "error: there is no data folder nowhere; give a folder of"),
        (["--data.root", "{a: 1, b: 0}"], 1, "error: root needs at least one folder, and weights above 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_explained_without_a_traceback(
    celeba: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
    message: str,
) -> None:
    assert runs.run_here(runs.arguments("default", celeba, tmp_path / "run", *options)) == status
    said = capsys.readouterr()
    assert message in said.err.splitlines()[-1]
    assert "Traceback" not in said.err + said.out
    assert status == 1 or len(said.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()  # no empty folders for logs


@pytest.mark.parametrize("ckpt_path", [(), ("--ckpt_path", "last")], ids=["afresh", "last"])
def test_a_run_with_a_best_checkpoint_alone_is_not_overwritten(
    report: Path,
    celeba: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ckpt_path: tuple[str, ...],
) -> None:
    """Neither by a new run nor by a resume, which would start afresh without `last.ckpt`."""
    shutil.copy(report / "best.ckpt", tmp_path / "best.ckpt")
    before = runs.hashes(tmp_path)
    assert runs.run_here(runs.arguments("report", celeba, tmp_path, *runs.REPORT, *ckpt_path)) == 1
    said = capsys.readouterr().err
    if ckpt_path:
        assert f"{tmp_path} has a best.ckpt but no last.ckpt; resume from the best step with" in said
        assert f"`--ckpt_path {tmp_path / 'best.ckpt'}`, or choose another folder with `--run`" in said
    else:
        assert f"{tmp_path} already holds a run; resume it with `--ckpt_path last`" in said
    assert runs.hashes(tmp_path) == before


def test_a_checkpoint_with_a_flipped_byte_is_refused(
    report: Path, celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((report / "last.ckpt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "last.ckpt").write_bytes(content)
    before = runs.hashes(tmp_path)
    assert runs.run_here(runs.arguments("report", celeba, tmp_path, "--ckpt_path", "last")) == 1
    said = capsys.readouterr()
    assert f"error: {tmp_path / 'last.ckpt'} is damaged: the checksum of " in said.err
    assert "does not match; resume from another checkpoint" in said.err
    assert "Traceback" not in said.err + said.out
    assert runs.hashes(tmp_path) == before


def test_a_damaged_checkpoint_cannot_be_resumed(
    celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"rubbish")
    assert runs.run_here(runs.arguments("report", celeba, tmp_path, "--ckpt_path", "last")) == 1
    assert "last.ckpt is damaged, or not a checkpoint of `python -m training fit`" in capsys.readouterr().err


def test_a_checkpoint_of_another_network_cannot_be_resumed(
    report: Path, celeba: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = runs.hashes(report)
    options = ("--ckpt_path", "last", "--model.network.width", "4")
    assert runs.run_here(runs.arguments("report", celeba, report, *options)) == 1
    said = capsys.readouterr().err
    assert "holds a network with {'kind': 'report', 'width': 2}, but {'kind': 'report', 'width': 4}" in said
    assert runs.hashes(report) == before


def test_a_run_without_checkpoints_has_no_weights_to_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runs.run_here(["weights", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: there is no best.ckpt or last.ckpt in {tmp_path}; ")


@pytest.mark.parametrize(
    ("argv", "status"), [([], 2), (["train"], 2), (["weights"], 2), (["--help"], 0), (["weights", "-h"], 0)]
)
def test_usage(argv: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.run_here(argv) == status
    said = capsys.readouterr()
    assert (said.err if status else said.out).startswith("usage: python -m training COMMAND")
    assert not (said.out if status else said.err)


def test_fit_help_names_the_command_as_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.run_here(["fit", "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: python -m training ")
    assert "Train an inpainting network." in said
    assert "--checkpoint_minutes" in said
