"""The network rewritten for inference computes the same function as the trained one."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from random_networks import HOLES, holes, pictures, random_network
from torch import Tensor, nn

from export.inference_model import FoldedDoubleConv, FoldedUpBlock, InferenceModel
from training.network.model import InpaintingModel
from training.network.partial_conv import coverage
from training.network.report_unet import DoubleConv, UpBlock

LAST_ROUNDING = 2.0**-23
"""Both return float32 whatever they compute in: twice half a unit in the last place of values below 1."""
ROUNDING = 5e-5
"""Float32's rounding through some 20 layers."""
EXACT = 1e-12
"""Float64's rounding through two layers."""


@pytest.fixture(
    scope="module",
    params=[
        ("report", 1, False),
        ("report", 4, False),
        ("correction", 3, False),
        ("coarse-to-fine", 2, False),
        ("coarse-to-fine", 2, True),
    ],
    ids=str,
)
def network(request: pytest.FixtureRequest) -> InpaintingModel:
    kind, width, face_aware = request.param
    return random_network(kind, width, seed=width, face_aware=face_aware)


def every_hole(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A batch of pictures with one kind of hole each."""
    masks = torch.cat([holes(kind, 1, height, width, seed=1) for kind in HOLES])
    return pictures(len(HOLES), height, width, seed=1), masks


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (90, 61), (178, 178)])
@torch.inference_mode()
def test_it_is_the_same_function(network: InpaintingModel, height: int, width: int) -> None:
    model = copy.deepcopy(network).double()
    image, mask = (tensor.double() for tensor in every_hole(height, width))
    answer = InferenceModel(model, torch.float64)(image, mask)
    torch.testing.assert_close(answer, model(image, mask), rtol=0, atol=LAST_ROUNDING)


@torch.inference_mode()
def test_float32_rounds_both_alike(network: InpaintingModel) -> None:
    image, mask = every_hole(90, 61)
    answer = InferenceModel(network)(image, mask)
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, network(image, mask), rtol=0, atol=ROUNDING)


@torch.inference_mode()
def test_the_comparison_above_sees_the_networks(network: InpaintingModel) -> None:
    """Nothing is hidden by the final clamp or by a constant answer."""
    image, mask = pictures(3, 90, 61, seed=1), holes("mixed", 3, 90, 61, seed=1)
    prediction = network.predict(image, mask)
    filled = prediction[(mask == 0).expand_as(prediction)]
    assert ((filled > 0) & (filled < 1)).float().mean() > 0.99
    assert filled.std() > 0.03
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.running_mean.abs().max() > 1e-3
        assert (norm.running_var - 1).abs().max() > 1e-2


@torch.inference_mode()
def test_what_is_under_the_hole_never_matters(network: InpaintingModel) -> None:
    image, mask = pictures(2, 48, 65), holes("mixed", 2, 48, 65)
    spoilt = torch.where(mask > 0, image, torch.nan)
    graph = InferenceModel(network)
    assert torch.equal(graph(image, mask), graph(spoilt, mask))


@torch.inference_mode()
def test_half_precision_stays_close_and_returns_float32(network: InpaintingModel) -> None:
    image, mask = pictures(2, 64, 64), holes("mixed", 2, 64, 64)
    answer = InferenceModel(network, torch.float16)(image, mask)
    assert answer.dtype == torch.float32
    assert torch.equal(answer[mask.expand_as(image) > 0], image[mask.expand_as(image) > 0])
    difference = (answer - network(image, mask)).abs().max()
    assert 1e-6 < difference < 0.02  # it does compute in half precision


def test_the_trained_model_is_left_as_it_was(network: InpaintingModel) -> None:
    before = copy.deepcopy(network.state_dict())
    learning = [parameter.requires_grad for parameter in network.parameters()]
    graph = InferenceModel(network.train(), torch.float16)
    with torch.no_grad():
        for parameter in graph.parameters():
            parameter.fill_(3.0)
    assert network.training
    assert [parameter.requires_grad for parameter in network.parameters()] == learning
    for name, tensor in network.eval().state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name]), name


# --- the identities of the module's docstring, in float64 so that rounding cannot hide an error --------------------


def lived_in(block: nn.Module) -> nn.Module:
    """Give a block float64 weights and non-trivial batch norms."""
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, -1.5, 1.5)
        nn.init.normal_(norm.bias)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.1, 3.0)
    return block.double().eval()


def features(channels: int, height: int, width: int, hole: str) -> tuple[Tensor, Tensor]:
    """Float64 features, zero wherever they are unknown, and their mask."""
    mask = holes(hole, 2, height, width).double()
    return torch.randn(2, channels, height, width, dtype=torch.float64) * mask, mask


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("hole", HOLES)
@torch.no_grad()
def test_batch_norm_and_relu_fold_into_partial_convolutions(hole: str) -> None:
    block = lived_in(DoubleConv(3, 5))
    assert isinstance(block, DoubleConv)
    x, mask = features(3, 21, 34, hole)
    share = coverage([mask], [1])
    expected, expected_mask = block(x, share)
    answer, known = FoldedDoubleConv(block).double()(x, share)
    torch.testing.assert_close(answer, expected, rtol=EXACT, atol=EXACT)
    assert torch.equal(known, expected_mask)
    assert expected.abs().max() > 0.1 or hole == "everything"
    assert (answer[(known == 0).expand_as(answer)] == 0).all()


@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize(
    ("small", "large"), [((11, 11), (22, 22)), ((8, 5), (16, 11)), ((7, 9), (15, 18)), ((44, 44), (89, 89))]
)
@torch.no_grad()
def test_an_up_block_is_a_convolution_and_a_pixel_shuffle(
    hole: str, small: tuple[int, int], large: tuple[int, int]
) -> None:
    block = lived_in(UpBlock(6, 3))
    assert isinstance(block, UpBlock)
    x, mask = features(6, *small, hole)
    skip, skip_mask = features(3, *large, hole)
    folded = FoldedUpBlock(block).double()
    torch.testing.assert_close(F.pixel_shuffle(folded.up(x), 2), block.up(x), rtol=EXACT, atol=EXACT)
    expected, expected_mask = block(x, mask, skip, skip_mask)
    answer, known = folded(x, mask, skip, skip_mask)
    torch.testing.assert_close(answer, expected, rtol=EXACT, atol=EXACT)
    assert torch.equal(known, expected_mask)
