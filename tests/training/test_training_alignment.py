"""Alignments of faces, and the network that finds them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

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
    compose,
    inverse,
    mirror,
    positions,
    resample,
    transform,
)
from training.network.face_locator import LOOKS, FaceLocator
from training.pictures import Image, load_picture
from training.weights import load_locator

ALIGNMENT = torch.tensor([[1.2, 0.3, 0.1, -0.2]])


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _pictures(root: Path) -> list[Image]:
    return [load_picture(file, SIDE) for file in files_of(root, "train", 8)]


def test_the_locator_has_the_stated_size() -> None:
    assert round(sum(p.numel() for p in FaceLocator().parameters()), -5) == 1_100_000


def test_an_alignment_rotates_scales_and_shifts() -> None:
    turned = torch.tensor([[0.0, 2.0, 0.5, 0.0]])  # a quarter turn, twice as large, to the right
    assert transform(turned, torch.tensor([[0.25, 0.0]])).tolist() == [[[0.5, 0.5]]]


def test_the_inverse_undoes_the_alignment() -> None:
    places = positions(7, 12, ALIGNMENT)
    back = transform(inverse(ALIGNMENT), transform(ALIGNMENT, places)[0])[0]
    torch.testing.assert_close(back, places)


def test_a_picture_fills_the_square_along_its_longer_side() -> None:
    places = positions(2, 4, ALIGNMENT)
    assert places[0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert places[:, 0, 1].tolist() == [-0.25, 0.25]


@pytest.mark.parametrize("size", [(89, 89), (40, 67), (67, 40)])
def test_a_picture_sampled_at_its_own_positions_is_unchanged(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    known = (torch.rand(2, 1, *size) > 0.2).float()
    masked = torch.rand(2, 3, *size) * known
    colours, is_known = resample(masked, known, positions(*size, masked)[None])
    torch.testing.assert_close(colours, masked, atol=1e-4, rtol=0)
    torch.testing.assert_close(is_known, known, atol=1e-4, rtol=0)


def test_nothing_is_known_beyond_a_picture() -> None:
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


def test_windows_are_reproducible_and_as_documented() -> None:
    torch.manual_seed(0)
    eye = torch.tensor(FEATURES[0])
    distance = (positions(SIDE, SIDE, eye) - eye).norm(dim=2)
    spot = (255 * torch.exp(-((distance / 0.04) ** 2))).byte().numpy()
    pictures = [spot[:, :, None].repeat(3, 2)] * 2
    first, second = (WindowDraws(pictures, _generator(5)).draw(60) for _ in range(2))
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in Windows.__annotations__)
    assert 0.6 < first.has_face.mean() < 0.95
    both = zip(first.masked, first.known, first.features, first.has_face, strict=True)
    brightness = []
    for image, known, features, has_face in both:
        assert not image[:, known[0] == 0].any()
        around = F.max_pool2d(image, 3, 1, 1), -F.max_pool2d(-known, 3, 1, 1)
        eyes = features[None, None, :2]
        seen, is_known = (F.grid_sample(x[None], eyes, mode="nearest", align_corners=False) for x in around)
        if has_face and is_known.all():
            brightness.append(seen.max().item())  # in a mirrored window it is the other eye
    assert len(brightness) > 10
    assert np.quantile(brightness, 0.1) > 0.4


def test_without_a_face_no_feature_is_whole() -> None:
    """Enlarged pictures show no feature, and tiles in random order are those of a picture."""
    eyes = torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8)
    for x, y in FEATURES:
        eyes[int((y + 1) / 2 * SIDE), int((x + 1) / 2 * SIDE)] = 255
    draws = WindowDraws([eyes.numpy()] * 2, _generator(6))
    assert not draws._enlarged(50).any()
    shuffled = draws._shuffled(10)
    assert (shuffled.sum((1, 2, 3)) == 3 * len(FEATURES)).all()
    assert len({tuple(one.flatten().nonzero().flatten().tolist()) for one in shuffled}) > 5
    textures = draws._textures(20)
    assert 0 <= textures.min() < textures.max() <= 1
    assert (textures.flatten(1).std(1) > 0).float().mean() > 0.8


def test_small_faces_are_anywhere_and_whole(celeba: Path) -> None:
    windows = WindowDraws(_pictures(celeba), _generator(7)).draw(400)
    small = (windows.has_face > 0) & (windows.zoom < 0.4)
    features = windows.features[small]
    assert small.sum() > 40
    assert features[..., 0].amax() > 0.55
    assert features[..., 0].amin() < -0.55
    assert features.abs().max() < 1.05


def test_each_look_learns_by_itself() -> None:
    torch.manual_seed(0)
    locator = FaceLocator()
    for look in (locator.first, locator.second):
        nn.init.normal_(look.out.weight, std=0.02)
    masked, known = torch.rand(2, 3, 48, 48), torch.ones(2, 1, 48, 48)
    looks = locator.looks(masked, known)
    assert len(looks) == LOOKS
    assert all(map(torch.equal, locator(masked, known), looks[-1]))
    looks[-1][0].sum().backward()  # type: ignore[no-untyped-call]
    assert locator.first.out.weight.grad is None
    assert locator.second.out.weight.grad is not None


def test_errors_are_relative_to_the_size_of_the_face() -> None:
    off = ALIGNMENT + torch.tensor([[0.0, 0.0, 0.12, 0.0]])
    zoom = torch.tensor([math.hypot(1.2, 0.3)])
    nothing = torch.zeros(1)
    windows = Windows(nothing, nothing, transform(ALIGNMENT, torch.tensor(FEATURES)), zoom, nothing)
    torch.testing.assert_close(feature_errors(off, windows)[0, :, 0], 0.12 / zoom.expand(3))


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
        f"within {distance:.1f} pixels (median); whether there is a face is right in {right:.1%}"
        in capsys.readouterr().out
    )


def test_training_goes_on_from_weights(celeba: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    config = LocatorConfig(pictures=2, steps=3, batch_size=2)
    fit(celeba, first, config)
    options = "--steps 2 --pictures 2 --learning-rate 1e-12 --seed 4"
    command = ["locate", "--data", str(celeba), "-o", str(second), "--start", str(first), *options.split()]
    assert main(command) == 0
    started, (went_on, provenance) = load_locator(first)[0], load_locator(second)
    for name, tensor in went_on.state_dict().items():
        torch.testing.assert_close(tensor, started.state_dict()[name], atol=1e-6, rtol=0)
    assert (provenance["seed"], provenance["learning_rate"]) == (4, 1e-12)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no weights file .*python -m training locate"):
        load_locator(tmp_path / "missing.safetensors")
