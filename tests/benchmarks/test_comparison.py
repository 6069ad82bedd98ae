"""The comparison with other servers: each fills the same photos equally well."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
from engines import FLOAT_MODEL

from benchmarks.comparison.__main__ import cases_of, main, plot, to_markdown
from benchmarks.comparison.contestants import OURS, PACKAGES, contestants
from benchmarks.comparison.measure import Figures, measure_methods, measure_server, median_of
from serving.core.runtime import Runtime

WEIGHTS = FLOAT_MODEL.with_suffix(".safetensors")
SERVER = Figures(OURS, 20.0, 50.0, 200.0, 31.0, 0.95)
OTHER = Figures("other", 30.0, 25.0, 500.0, None, None)
METHOD = Figures("Telea, no server", 2.0, None, None, 27.0, 0.91)


def test_the_table_relates_every_row_to_the_first() -> None:
    rows = to_markdown([SERVER, OTHER, METHOD], ["Triton is left out"]).splitlines()
    assert rows[2] == f"| {OURS} | 20.0 (×1.00) | 50.0 (×1.00) | 200 (×1.00) | 31.00 | 0.950 |"
    assert rows[3] == "| other | 30.0 (×1.50) | 25.0 (×0.50) | 500 (×2.50) | - | - |"
    assert rows[4] == "| Telea, no server | 2.0 (×0.10) | - | - | 27.00 | 0.910 |"
    assert rows[-1] == "- Triton is left out."


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    plot([SERVER, OTHER, METHOD], tmp_path / "plot.webp")
    assert (tmp_path / "plot.webp").read_bytes()[8:12] == b"WEBP"


def test_several_runs_are_joined_by_their_medians() -> None:
    runs = [Figures("x", ms, 10.0, 1.0, None, None) for ms in (3.0, 9.0, 4.0)]
    assert median_of(runs) == Figures("x", 4.0, 10.0, 1.0, None, None)


def test_a_server_without_its_environment_is_left_out_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found, left_out = contestants(FLOAT_MODEL, WEIGHTS, 1, tmp_path / "environments", tmp_path)
    assert found[0].name == OURS
    for folder, package in PACKAGES.items():
        (sentence,) = (each for each in left_out if each.startswith(f"{folder} is left out"))
        assert f"{tmp_path / 'environments' / folder / 'bin' / 'pip'} install {package} " in sentence
    assert any(each.startswith("TorchServe is left out: it needs Java") for each in left_out)


def test_methods_are_measured_in_this_process() -> None:
    model, *classical = measure_methods(Runtime(FLOAT_MODEL, threads=1), cases_of(None, 2), rounds=1)
    assert model.psnr is not None
    assert all(method.psnr is not None and method.psnr < model.psnr for method in classical)
    assert all(method.alone_ms > 0 for method in (model, *classical))


@pytest.mark.engines
def test_servers_fill_the_same_photos_equally_well_and_are_stopped(tmp_path: Path) -> None:
    before = psutil.Process().children()
    found, _ = contestants(FLOAT_MODEL, WEIGHTS, 1, tmp_path, tmp_path)
    eager = next(each for each in found if each.name == "FastAPI and eager PyTorch, same weights")
    cases = cases_of(None, 2)
    ours, other = (measure_server(each, cases, rounds=1) for each in (found[0], eager))
    assert psutil.Process().children() == before
    assert ours.psnr is not None
    assert ours.psnr == pytest.approx(other.psnr, abs=0.01)
    for figures in (ours, other):
        assert figures.alone_ms > 0
        assert figures.answers_a_second is not None
        assert figures.answers_a_second > 0
        assert figures.memory_mib is not None
        assert 20 < figures.memory_mib < 2000


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "nowhere"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: there is no data folder nowhere")
    assert captured.err.count("\n") == 1
