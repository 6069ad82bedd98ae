"""Fine-tuning improves the shipped model on a user's own pictures, measured on held-out ones."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import training_runs as runs

from training.pictures import find_pictures

pytestmark = [
    # Lightning's command line still uses names that jsonargparse has deprecated.
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
    # On machines with more than two cores Lightning suggests more loader processes; ours have little to load.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]

SHIPPED = runs.REPOSITORY / "models" / "inpaint.safetensors"
SIDE = 64


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 non-overlapping tiles of a photo of a brick wall."""
    root = tmp_path_factory.mktemp("own")
    wall = skimage.data.brick()  # type: ignore[no-untyped-call]
    for number in range(60):
        top, left = (SIDE * position for position in divmod(number, 8))
        assert cv2.imwrite(str(root / f"{number}.png"), wall[top : top + SIDE, left : left + SIDE])
    return root


def held_out_psnr(weights: Path, own: Path, output: Path) -> float:
    """PSNR inside the hole over the test split, as `evaluate` measures it."""
    options = ("--masks", "free-form", "report-code", "--size", str(SIDE), "--baselines", "--workers", "1")
    arguments = (str(weights), "--data", str(own), "--output", str(output), *options)
    assert runs.run_here(["evaluate", *arguments, "--perceptual", "none"]) == 0
    figures = json.loads((output / "evaluation.json").read_text())["figures"]
    assert len(figures) == 2 * len(find_pictures(own).test)
    return float(np.mean([row["hole_psnr"] for row in figures]))


@pytest.mark.slow
def test_a_fine_tune_improves_held_out_pictures(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of docs/training.md, with smaller pictures and fewer but larger steps."""
    options = (
        *("--model.start", str(SHIPPED), "--model.network.width", "16", "--data.size", str(SIDE)),
        *("--trainer.max_steps", "100", "--trainer.val_check_interval", "25"),
        *("--model.optimizer.learning_rate", "1e-3"),
    )
    run = tmp_path / "run"
    assert runs.run_here(runs.arguments("finetune", own, run, *options)) == 0
    before = held_out_psnr(SHIPPED, own, tmp_path / "before")
    after = held_out_psnr(run / "inpaint.safetensors", own, tmp_path / "after")
    with capsys.disabled():
        print(f"\nPSNR inside the hole: {before:.2f} dB before, {after:.2f} dB after")
    assert after > before + 0.1
