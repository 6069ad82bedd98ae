"""`python -m training evaluate` from end to end: what it writes agrees with independent measurements."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import training_runs as runs
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from training.cases import Case
from training.classical import BASELINES, CLASSICAL
from training.files import sha256
from training.masks import PRESETS
from training.network.model import InpaintingModel, ModelConfig
from training.perceptual import STLPIPS
from training.pictures import all_pictures, load_mask, load_picture
from training.tables import bucket
from training.weights import save_weights

MASKS = ("report-text", "free-form")
METHODS = ("this model", "Telea", "Navier-Stokes", "biharmonic")
SEED = 7
MEASURES = ("hole_ratio", "psnr", "hole_psnr", "ssim", "l1", "sharpness")


@pytest.fixture(scope="module")
def model() -> InpaintingModel:
    """A narrow network with random corrections, large enough to be visible."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = InpaintingModel(ModelConfig("correction", width=2)).eval()
        nn.init.normal_(model.unet.out.weight, std=0.1)
    return model


@pytest.fixture(scope="module")
def weights(model: InpaintingModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, model, {"metrics": {"val_psnr": 12.5}})
    return path


@dataclass(frozen=True)
class Evaluation:
    """What one run printed and wrote."""

    printed: str
    table: str
    document: dict[str, Any]
    sheet: np.ndarray

    def figures(self, **of: str) -> list[dict[str, Any]]:
        """The rows of the JSON that have these values."""
        return [row for row in self.document["figures"] if of.items() <= row.items()]


def evaluate(weights: Path, data: Path, output: Path, *options: str) -> Evaluation:
    """Run the command in this process, with one more process for the classical methods."""
    arguments = ("--data", str(data), "--output", str(output), "--workers", "1", *options)
    with redirect_stdout(io.StringIO()) as printed:
        assert runs.run_here(["evaluate", str(weights), *arguments]) == 0
    names = ("contact-sheet.png", "evaluation.json", "evaluation.md")
    assert sorted(path.name for path in output.iterdir()) == list(names)
    sheet, document, table = (output / name for name in names)
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    return Evaluation(printed.getvalue(), table.read_text(), json.loads(document.read_text()), pixels)


@pytest.fixture(scope="module")
def evaluation(weights: Path, celeba: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The test split of three pictures, under two kinds of masks."""
    options: tuple[str, ...] = ("--masks", *MASKS, "--seed", str(SEED), "--rows", "2")
    options = (*options, "--perceptual", "alex", "--perceptual-count", "1")
    return evaluate(weights, celeba, tmp_path_factory.mktemp("evaluation"), *options)


@pytest.fixture(scope="module")
def cases(celeba: Path) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """File name, preset, picture and mask of each measured case, in order."""
    files = [celeba / "img_align_celeba" / f"{number:06}.jpg" for number in (18, 19, 20)]
    return [
        (file.name, preset, load_picture(file), PRESETS[preset](np.random.default_rng((SEED, i)), 178, 178))
        for preset in MASKS
        for i, file in enumerate(files)
    ]


@torch.inference_mode()
def filled(model: InpaintingModel, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    known = torch.from_numpy((mask == 0)[None, None].astype(np.float32))
    answer: np.ndarray = np.rint(model(image, known)[0].numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
    return answer


# --- the figures -------------------------------------------------------------------------------------------------


def test_every_case_is_measured_with_every_method(
    evaluation: Evaluation, cases: list[tuple[str, str, np.ndarray, np.ndarray]]
) -> None:
    rows = [(row["picture"], row["preset"], row["method"]) for row in evaluation.document["figures"]]
    assert rows == [(name, preset, method) for name, preset, _, _ in cases for method in METHODS]


@pytest.mark.parametrize("method", METHODS)
def test_the_figures_are_measured_on_the_composited_answer(
    evaluation: Evaluation,
    cases: list[tuple[str, str, np.ndarray, np.ndarray]],
    model: InpaintingModel,
    method: str,
) -> None:
    for row, (_, _, picture, mask) in zip(evaluation.figures(method=method), cases, strict=True):
        hole = mask == 255
        answer = filled(model, picture, mask) if method == "this model" else CLASSICAL[method](picture, mask)
        answer[~hole] = picture[~hole]
        # Computed in batches, a sample may round the other way; that changes no figure by more than this.
        assert row["hole_ratio"] == pytest.approx(hole.mean())
        expected = peak_signal_noise_ratio(picture, answer, data_range=255)  # type: ignore[no-untyped-call]
        assert row["psnr"] == pytest.approx(expected, abs=1e-3)
        expected = peak_signal_noise_ratio(picture[hole], answer[hole], data_range=255)  # type: ignore[no-untyped-call]
        assert row["hole_psnr"] == pytest.approx(expected, abs=1e-3)
        expected = structural_similarity(picture, answer, channel_axis=2, data_range=255)  # type: ignore[no-untyped-call]
        assert row["ssim"] == pytest.approx(expected, abs=1e-5)
        expected = np.abs(picture.astype(float) - answer).mean() / 255
        assert row["l1"] == pytest.approx(expected, rel=1e-3)
        assert row["sharpness"] == pytest.approx(energy(answer, hole) / energy(picture, hole), rel=1e-3)


def test_the_perceptual_distance_of_the_first_pictures(
    evaluation: Evaluation, cases: list[tuple[str, str, np.ndarray, np.ndarray]]
) -> None:
    network = STLPIPS("alex")
    for row, (_, _, picture, mask) in zip(evaluation.figures(method="Telea"), cases, strict=True):
        if row["picture"] != "000018.jpg":
            assert row["stlpips"] is None
            continue
        answer = np.where(mask[..., None] > 0, CLASSICAL["Telea"](picture, mask), picture)
        tensors = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (answer, picture))
        assert row["stlpips"] == pytest.approx(network(*tensors).item(), rel=1e-4)
    assert sum(row["stlpips"] is not None for row in evaluation.document["figures"]) == len(MASKS) * len(
        METHODS
    )


def energy(picture: np.ndarray, hole: np.ndarray) -> float:
    """Squared gradient of the luma, summed over the hole."""
    luma = np.pad(picture @ np.array([0.299, 0.587, 0.114]), 1, "reflect", reflect_type="odd")
    down, right = (luma[2:] - luma[:-2])[:, 1:-1] / 2, (luma[:, 2:] - luma[:, :-2])[1:-1] / 2
    return float((down**2 + right**2)[hole].sum())


def test_the_summary_agrees_with_the_figures(evaluation: Evaluation) -> None:
    lines = evaluation.document["summary"]
    for line in lines:
        rows = evaluation.figures(preset=line["preset"], method=line["method"])
        rows = [row for row in rows if line["bucket"] in ("all", bucket(row["hole_ratio"]))]
        assert line["pictures"] == len(rows) > 0
        for name in MEASURES:
            middle = median if name == "sharpness" else fmean
            assert line[name] == pytest.approx(middle(row[name] for row in rows))
    everything = [(line["preset"], line["method"]) for line in lines if line["bucket"] == "all"]
    assert everything == [(preset, method) for preset in MASKS for method in METHODS]
    for preset in MASKS:
        ours = [line for line in lines if line["preset"] == preset and line["method"] == "this model"]
        assert sum(line["pictures"] for line in ours if line["bucket"] != "all") == 3


def test_the_json_says_what_was_measured(evaluation: Evaluation, weights: Path) -> None:
    assert evaluation.document["weights"]["sha256"] == sha256(weights)
    assert evaluation.document["weights"]["provenance"]["metrics"] == {"val_psnr": 12.5}
    assert evaluation.document["data"] == {
        "split": "test",
        "pictures": 3,
        "mask_seed": SEED,
        "size": 178,
        "moved": False,
        "stlpips": {"backbone": "alex", "pictures": 1},
    }


def test_the_table_has_the_summary(evaluation: Evaluation) -> None:
    psnr, _, ssim, *_ = evaluation.table.split("### ")[1:]
    for part, form in ((psnr, "{psnr:.2f}"), (ssim, "{ssim:.3f}")):
        header, _, *body = [line for line in part.splitlines() if line.startswith("|")]
        assert header == "| masks | hole | pictures | this model | Telea | Navier-Stokes | biharmonic |"
        cells = [cell.strip(" *") for line in body for cell in line.strip("|").split("|")[3:]]
        assert cells == [form.format_map(line) for line in evaluation.document["summary"]]
    assert evaluation.printed.startswith(evaluation.table)
    assert evaluation.printed.splitlines()[-1].startswith("written: ")


# --- the sheet ---------------------------------------------------------------------------------------------------


def test_the_sheet_shows_the_first_pictures_of_each_preset(
    evaluation: Evaluation, cases: list[tuple[str, str, np.ndarray, np.ndarray]], model: InpaintingModel
) -> None:
    assert evaluation.sheet.shape == (16 + 4 * 182 - 4, 4 * 182 - 4, 3)
    for line, position in enumerate((0, 1, 3, 4)):
        _, _, picture, mask = cases[position]
        strip = evaluation.sheet[16 + line * 182 :][:178]
        np.testing.assert_array_equal(strip[:, 364:542], picture)
        answer = filled(model, picture, mask)
        difference = np.abs(strip[:, 182:360].astype(int) - answer)
        assert difference.max() <= 1  # a batch may round a sample the other way
        assert not difference[mask == 0].any()
        assert np.abs(answer.astype(int) - picture)[mask == 255].mean() > 1


# --- a plain folder ----------------------------------------------------------------------------------------------


def test_a_plain_folder_of_any_size(weights: Path, astronaut: np.ndarray, tmp_path: Path) -> None:
    """Two pictures are too few to be split; `--split all` takes them."""
    data = tmp_path / "data"
    data.mkdir()
    for number in (1, 2):
        crop = astronaut[: 100 * number, : 90 * number]
        cv2.imwrite(str(data / f"{number}.png"), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
    options = ("--split", "all", "--masks", "features", "--moved", "--size", "96", "--perceptual", "none")
    result = evaluate(weights, data, tmp_path / "out", *options)
    assert result.document["data"] == {
        "split": "all",
        "pictures": 2,
        "mask_seed": 0,
        "size": 96,
        "moved": True,
        "stlpips": {"backbone": None, "pictures": 100},
    }
    rows = result.figures(method="this model")
    assert [row["picture"] for row in rows] == ["1.png", "2.png"]
    for number, row in enumerate(rows):
        _, mask = Case(data / row["picture"], "features", (0, number), 96, moved=True).load()
        assert row["hole_ratio"] == pytest.approx((mask > 0).mean())
    assert result.sheet.shape == (16 + 2 * 100 - 4, 4 * 100 - 4, 3)


def test_own_masks_and_other_baselines_at_another_size(
    weights: Path, celeba: Path, mask_folder: Path, tmp_path: Path
) -> None:
    """The slower methods, at the size that the literature uses."""
    pytest.importorskip("patchmatch", reason="needs the extra patchmatch")
    methods = ("total variation", "PatchMatch")
    options = ("--mask-folder", str(mask_folder), "--baselines", *methods, "--size", "256")
    result = evaluate(weights, celeba, tmp_path, *options, "--count", "2", "--perceptual", "none")
    assert "ST-LPIPS" not in result.table
    assert {row["preset"] for row in result.document["figures"]} == {"folder"}
    masks = [load_mask(path, 256) for path in all_pictures(mask_folder)]
    shares = {float((mask > 0).mean()) for mask in masks}
    assert {row["hole_ratio"] for row in result.document["figures"]} <= shares
    assert {row["method"] for row in result.document["figures"]} == {"this model", *methods}
    assert result.sheet.shape == (16 + 2 * 260 - 4, 4 * 260 - 4, 3)


def test_total_variation_continues_an_edge(astronaut: np.ndarray) -> None:
    """A straight edge has the least total variation; interpolation would blur it. Known pixels stay as they are."""
    picture = np.full((64, 64, 3), 40, np.uint8)
    picture[:, 32:] = 200
    mask = np.zeros((64, 64), np.uint8)
    mask[28:36, 20:44] = 255
    filled = BASELINES["total variation"](picture, mask)
    assert np.abs(filled.astype(int) - picture).max() < 60
    np.testing.assert_array_equal(filled[mask == 0], picture[mask == 0])


def test_patchmatch_continues_a_pattern() -> None:
    """No interpolating method does that; known pixels stay as they are."""
    pytest.importorskip("patchmatch", reason="needs the extra patchmatch")
    picture = np.full((96, 96, 3), 40, np.uint8)
    picture[:, ::8] = 200
    mask = np.zeros((96, 96), np.uint8)
    mask[40:60, 30:62] = 255
    filled = BASELINES["PatchMatch"](picture, mask)
    errors = {
        name: np.abs(answer.astype(int) - picture)[mask > 0].mean()
        for name, answer in (("PatchMatch", filled), ("Telea", CLASSICAL["Telea"](picture, mask)))
    }
    assert errors["PatchMatch"] < errors["Telea"] / 4
    np.testing.assert_array_equal(filled[mask == 0], picture[mask == 0])


def test_a_checkpoint_and_its_weights_have_the_same_figures(
    report: Path, celeba: Path, tmp_path: Path
) -> None:
    options = ("--masks", "fine", "--count", "1", "--baselines", "Telea", "--perceptual", "none")
    one, other = (
        evaluate(report / name, celeba, tmp_path / name, *options)
        for name in ("best.ckpt", "inpaint.safetensors")
    )
    assert one.document["figures"] == other.document["figures"]
    assert one.document["weights"]["provenance"]["config"]["model"]["network"]["kind"] == "report"


# --- mistakes ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(celeba: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the mistakes below need."""
    root = tmp_path_factory.mktemp("mistakes")
    shutil.copy(weights, root / "tiny.safetensors")
    (root / "garbage.safetensors").write_bytes(b"garbage" * 100)
    (root / "garbage.ckpt").write_bytes(b"garbage" * 100)
    (root / "celeba").symlink_to(celeba)
    (root / "empty").mkdir()
    (root / "cut").mkdir()
    picture = (celeba / "img_align_celeba" / "000001.jpg").read_bytes()
    (root / "cut" / "a.jpg").write_bytes(picture)
    (root / "cut" / "b.jpg").write_bytes(picture[:2000])
    (root / "file").write_text("not a folder")
    return root


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("missing.safetensors --data celeba", 1, "error: there is no weights file missing.safetensors"),
        (
            "garbage.safetensors --data celeba",
            1,
            "error: garbage.safetensors is not a complete safetensors file",
        ),
        ("tiny.safetensors --data nowhere", 1, "error: there is no data folder nowhere; give a folder"),
        ("tiny.safetensors --data empty", 1, "error: empty contains no pictures"),
        ("tiny.safetensors --data cut", 1, "split of cut is empty"),
        ("tiny.safetensors --data cut --split all", 1, "error: cut/b.jpg cannot be decoded as a picture"),
        ("tiny.safetensors --data celeba --count 0", 1, "the count must be at least 1, not 0"),
        ("tiny.safetensors --data celeba --count -2", 1, "the count must be at least 1, not -2"),
        ("tiny.safetensors --data celeba --size 31", 1, "error: --size must be at least 32, not 31"),
        ("tiny.safetensors --data celeba --rows 0", 1, "error: --rows must be at least 1, not 0"),
        ("tiny.safetensors --data celeba --workers 0", 1, "error: --workers must be at least 1, not 0"),
        ("tiny.safetensors --data celeba --seed -1", 1, "error: --seed must be at least 0, not -1"),
        ("tiny.safetensors --data celeba --output file", 1, "error: [Errno 17] File exists: 'file'"),
        (
            "tiny.safetensors --data celeba --output file/out",
            1,
            "error: [Errno 20] Not a directory: 'file/out'",
        ),
        ("tiny.safetensors --data celeba --masks dots", 2, "error: argument --masks: invalid choice: 'dots'"),
        ("tiny.safetensors --data celeba --masks folder", 1, "error: the masks 'folder' need --mask-folder"),
        ("tiny.safetensors --data celeba --masks paired", 1, "error: the masks 'paired' need --mask-folder"),
        ("tiny.safetensors --data celeba --mask-folder empty", 1, "error: empty contains no pictures"),
        ("garbage.ckpt --data celeba", 1, "error: garbage.ckpt is damaged, or not a checkpoint of"),
        ("tiny.safetensors --data celeba --split some", 2, "error: argument --split: invalid choice: 'some'"),
        ("tiny.safetensors", 2, "error: the following arguments are required: --data"),
    ],
)
def test_a_mistake_is_one_line(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: str,
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(place)
    before = [path for path in place.rglob("*") if path.is_file()]
    said = runs.expect_one_line(["evaluate", "--output", "out", *options.split()], status, message, capsys)
    assert "error: " in said.splitlines()[-1]
    assert "100%" not in said  # it fails before everything is measured
    assert [path for path in place.rglob("*") if path.is_file()] == before
