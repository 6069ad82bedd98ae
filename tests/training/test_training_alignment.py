"""Alignments of faces, the network that finds them, and pictures mirrored about a face's axis."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from known_face import KnownFace

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
    FEATURES,
    MIDDLE,
    FaceLocator,
    compose,
    inverse,
    mirror,
    mirror_image,
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


def test_the_locator_has_the_stated_size() -> None:
    assert round(sum(p.numel() for p in FaceLocator().parameters()), -5) == 1_100_000


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


def test_one_alignment_after_the_other_is_their_composition() -> None:
    inner = torch.tensor([[0.7, -0.4, 0.3, 0.1]])
    places = positions(5, 8, ALIGNMENT)
    wanted = transform(ALIGNMENT, transform(inner, places)[0])
    torch.testing.assert_close(transform(compose(ALIGNMENT, inner), places), wanted)


def test_a_position_and_its_counterpart_are_mirrored_in_the_aligned_picture() -> None:
    places = positions(9, 6, ALIGNMENT)
    aligned = transform(inverse(ALIGNMENT), places)[0]
    wanted = torch.stack([2 * MIDDLE - aligned[..., 0], aligned[..., 1]], 2)
    counterparts = mirror(ALIGNMENT, places)
    torch.testing.assert_close(counterparts, transform(ALIGNMENT, wanted))
    torch.testing.assert_close(mirror(ALIGNMENT, counterparts[0])[0], places)


@pytest.mark.parametrize("size", [(89, 89), (89, 134), (134, 89)])
def test_what_is_seen_of_one_eye_is_where_the_other_one_is(size: tuple[int, int]) -> None:
    left, right = transform(ALIGNMENT, torch.tensor(FEATURES[:2]))[0]
    places = positions(*size, ALIGNMENT)
    picture = torch.exp(-(((places - right).norm(dim=2) / 0.05) ** 2)).expand(1, 3, -1, -1)
    known = torch.ones(1, 1, *size)
    mirrored, mirrored_known = mirror_image(picture, known, KnownFace(ALIGNMENT, 9.0))
    brightest = places.reshape(-1, 2)[mirrored[0, 0].flatten().argmax()]
    assert (brightest - left).norm() < 0.03
    assert mirrored_known[0, 0].flatten()[(places - left).norm(dim=2).argmin()] == 1


def test_in_the_counterpart_of_a_hole_nothing_is_known() -> None:
    known = torch.ones(1, 1, 40, 40)
    known[..., :20] = 0
    picture = torch.rand(1, 3, 40, 40) * known
    mirrored, mirrored_known = mirror_image(picture, known, KnownFace(IDENTITY, 9.0))
    assert mirrored_known[..., :19].all()
    assert not mirrored_known[..., 20:].any()
    assert not mirrored[..., 20:].any()


def test_without_a_face_nothing_is_mirrored() -> None:
    picture = torch.rand(2, 3, 40, 40)
    known = torch.ones(2, 1, 40, 40)
    two = KnownFace(IDENTITY.repeat(2, 1), 9.0)
    two.found[1][1] = -9.0
    mirrored, mirrored_known = mirror_image(picture, known, two)
    assert mirrored_known[0].any()
    assert not mirrored_known[1].any()
    assert not mirrored[1].any()


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
        mirrored = torch.stack([2 * MIDDLE - eye[0], eye[1]])
        places = transform(alignment[None], torch.stack([eye, mirrored]))[0]
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
    fit(celeba, path, LocatorConfig(pictures=8, steps=150, batch_size=16))
    locator, provenance = load_locator(path)
    assert provenance["steps"] == 150
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
