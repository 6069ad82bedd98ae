"""ST-LPIPS compared with the package that its weights come from."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

import training.perceptual as module
from training.errors import CheckpointError
from training.perceptual import STLPIPS, Backbone, style_distance


@pytest.fixture(scope="module")
def pictures() -> tuple[Tensor, Tensor]:
    """Two pairs of pictures of an odd size; the first of each pair is the second one smoothed."""
    truth = torch.rand(2, 3, 61, 64, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(truth, 3, 1, 1), truth


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_the_distance_is_that_of_the_package(
    backbone: Backbone, pictures: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package imports these for its other features; none of them is needed for the distance.
    for name in ("torchvision", "IPython", "torchsummary"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["torchvision"], "models", None, raising=False)
    monkeypatch.setattr(sys.modules["IPython"], "embed", None, raising=False)
    monkeypatch.setattr(sys.modules["torchsummary"], "summary", None, raising=False)
    from stlpips_pytorch.stlpips import LPIPS

    answer, truth = pictures
    with torch.no_grad():
        expected = LPIPS(net=backbone, variant="shift_tolerant", verbose=False)(answer, truth, normalize=True)
        torch.testing.assert_close(STLPIPS(backbone)(answer, truth), expected.flatten())


def test_equal_pictures_have_no_distance(pictures: tuple[Tensor, Tensor]) -> None:
    network = STLPIPS("alex")
    assert torch.equal(network(pictures[1], pictures[1]), torch.zeros(2))
    assert (network(*pictures) > 0.01).all()


def test_its_gradient_is_finite_where_features_are_zero() -> None:
    picture = torch.zeros(1, 3, 48, 48, requires_grad=True)
    STLPIPS("alex")(picture, torch.rand(1, 3, 48, 48)).sum().backward()
    assert picture.grad is not None
    assert picture.grad.isfinite().all()


def test_style_compares_correlations_and_not_places() -> None:
    features = torch.rand(1, 4, 8, 8)
    moved = features.roll((3, 2), (2, 3))
    assert style_distance([features], [moved]).item() == pytest.approx(0, abs=1e-6)
    assert style_distance([features], [features.flip(1)]).item() > 0.001


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no-such-package-anywhere")
    with pytest.raises(CheckpointError, match="install it with `pip install no-such-package-anywhere`"):
        STLPIPS("vgg")
