"""Alignments of faces, the network that finds them, and a coarse answer to an aligned window."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from training.__main__ import main
from training.cases import files_of
from training.errors import CheckpointError
from training.locate import (
    SIDE,
    LocatorConfig,
    WindowDraws,
    Windows,
    evaluate,
    feature_errors,
    fit,
    locator_loss,
)
from training.network.alignment import (
    ALIGNED_SIZE,
    FEATURES,
    FaceLocator,
    aligned_answer,
    inverse,
    positions,
    resample,
    transform,
)
from training.pictures import Image, load_picture
from training.weights import load_locator

ALIGNMENT = torch.tensor([[1.2, 0.3, 0.1, -0.2]])
IDENTITY = torch.tensor([[1.0, 0.0, 0.0, 0.0]])


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _pictures(root: Path) -> list[Image]:
    return [load_picture(file, SIDE) for file in files_of(root, "train", 8)]


class Known(FaceLocator):
    """A locator that finds what it is told."""

    def __init__(self, alignment: Tensor, logit: float) -> None:
        super().__init__()
        self.found = alignment, torch.full((len(alignment),), logit)

    def forward(self, masked: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return self.found


def test_the_locator_has_the_stated_size() -> None:
    assert round(sum(p.numel() for p in FaceLocator().parameters()), -5) == 600_000


def test_an_alignment_rotates_scales_and_shifts() -> None:
    turned = torch.tensor([[0.0, 2.0, 0.5, 0.0]])  # a quarter turn, twice as large, to the right
    assert transform(turned, torch.tensor([[0.25, 0.0]])).tolist() == [[[0.5, 0.5]]]


def test_the_inverse_leads_back() -> None:
    places = positions(7, 12, ALIGNMENT)
    back = transform(inverse(ALIGNMENT), transform(ALIGNMENT, places)[0])[0]
    torch.testing.assert_close(back, places)


def test_a_picture_fills_the_square_in_its_longer_direction() -> None:
    places = positions(2, 4, ALIGNMENT)
    assert places[0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert places[:, 0, 1].tolist() == [-0.25, 0.25]


@pytest.mark.parametrize("size", [(89, 89), (40, 67), (67, 40)])
def test_sampled_at_its_own_positions_a_picture_is_unchanged(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    known = (torch.rand(2, 1, *size) > 0.2).float()
    masked = torch.rand(2, 3, *size) * known
    colours, is_known = resample(masked, known, positions(*size, masked)[None])
    torch.testing.assert_close(colours, masked, atol=1e-4, rtol=0)
    assert torch.equal(is_known, known)


def test_beyond_a_picture_nothing_is_known() -> None:
    white = torch.ones(1, 3, 32, 64)
    places = torch.tensor([[[[0.0, 0.0], [0.0, 0.9], [1.3, 0.0]]]])
    colours, is_known = resample(white, white[:, :1], places)
    assert is_known.flatten().tolist() == [1, 0, 0]
    assert colours[0, 0].flatten().tolist() == [1, 0, 0]


@pytest.mark.parametrize("size", [(89, 89), (89, 134)])
def test_what_the_coarse_network_draws_on_the_aligned_face_is_where_the_face_is(
    size: tuple[int, int],
) -> None:
    """It draws a bright spot where an aligned face has its left eye."""
    eye = torch.tensor(FEATURES[0])
    distance = (positions(ALIGNED_SIZE, ALIGNED_SIZE, eye) - eye).norm(dim=2)
    drawn = torch.exp(-((distance / 0.05) ** 2)).expand(1, 3, -1, -1)
    nothing = torch.zeros(1, 3, *size)
    answer, weight = aligned_answer(nothing, nothing[:, :1], Known(ALIGNMENT, 9.0), lambda *_: drawn)
    place = transform(ALIGNMENT, eye)[0]
    nearest = (positions(*size, nothing) - place).norm(dim=2).argmin()
    assert answer[0, 0].flatten().argmax() == nearest
    assert weight.flatten()[nearest] > 0.99


def test_known_pixels_are_given_to_the_coarse_network_aligned() -> None:
    picture = torch.rand(1, 3, ALIGNED_SIZE, ALIGNED_SIZE)
    seen: list[Tensor] = []

    def coarse(colours: Tensor, known: Tensor) -> Tensor:
        seen.extend([colours, known])
        return colours

    answer, _ = aligned_answer(picture, torch.ones_like(picture[:, :1]), Known(IDENTITY, 9.0), coarse)
    for image in (seen[0], answer):
        torch.testing.assert_close(image, picture, atol=1e-4, rtol=0)
    assert seen[1].all()


def test_the_answer_counts_on_a_face_only_and_not_beyond_the_aligned_picture() -> None:
    small = torch.tensor([[0.5, 0.0, 0.0, 0.0]])  # half the window's size
    nothing = torch.zeros(1, 3, 89, 89)
    _, weight = aligned_answer(nothing, nothing[:, :1], Known(small, 20.0), lambda *_: nothing)
    assert weight[0, 0, 44, 44] == pytest.approx(1)
    assert not weight[0, 0, 44, :22].any()
    assert not weight[0, 0, :, 67:].any()
    _, without_face = aligned_answer(nothing, nothing[:, :1], Known(small, -20.0), lambda *_: nothing)
    assert without_face.max() < 1e-6


def test_windows_are_reproducible_and_what_is_stated() -> None:
    torch.manual_seed(0)
    eye = torch.tensor(FEATURES[0])
    distance = (positions(SIDE, SIDE, eye) - eye).norm(dim=2)
    spot = (255 * torch.exp(-((distance / 0.04) ** 2))).byte().numpy()
    pictures = [spot[:, :, None].repeat(3, 2)] * 2
    first, second = (WindowDraws(pictures, _generator(5)).draw(60) for _ in range(2))
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in Windows.__annotations__)
    assert 0.6 < first.has_face.mean() < 0.95
    checked = 0
    for image, known, alignment, has_face in zip(
        first.masked, first.known, first.alignment, first.has_face, strict=True
    ):
        mirrored = torch.tensor([[-1.0, 1.0]]) * eye
        places = transform(alignment[None], torch.cat([eye[None], mirrored]))[0]
        if not has_face:
            assert (places.abs().amax(1) > 1).all()
        elif image.max() > 0.6:
            brightest = positions(SIDE, SIDE, eye).reshape(-1, 2)[image[0].flatten().argmax()]
            assert (places - brightest).norm(dim=1).min() < 0.06
            checked += 1
        assert not image[:, known[0] == 0].any()
    assert checked > 10


def test_errors_are_in_proportion_to_the_face() -> None:
    off = ALIGNMENT + torch.tensor([[0.0, 0.0, 0.12, 0.0]])
    zoom = math.hypot(1.2, 0.3)
    torch.testing.assert_close(feature_errors(off, ALIGNMENT)[0, :, 0], torch.full((3,), 0.12 / zoom))


def test_training_lowers_the_loss_and_writes_weights(
    celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    path = tmp_path / "locator.safetensors"
    fit(celeba, path, LocatorConfig(pictures=8, steps=60, batch_size=16))
    locator, provenance = load_locator(path)
    assert provenance["steps"] == 60
    windows = WindowDraws(_pictures(celeba), _generator(3)).draw(64)
    with torch.inference_mode():
        assert locator_loss(locator, windows) < locator_loss(FaceLocator().eval(), windows)
    distance, right = evaluate(path, celeba, 2)
    assert 0 < distance < 89
    assert 0 < right <= 1
    assert main(["locate", "--data", str(celeba), "--evaluate", str(path), "--count", "2"]) == 0
    assert (
        f"within {distance:.1f} pixels (median), and a face or none in {right:.1%}" in capsys.readouterr().out
    )


def test_other_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no weights file .*python -m training locate"):
        load_locator(tmp_path / "missing.safetensors")
