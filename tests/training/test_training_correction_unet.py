"""The network that corrects a smooth first fill: its size, its first layer, its padding and its initial state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from literal_layers import array, assert_same, literal_partial_conv, randomised
from torch import Tensor, nn

from training.network.correction_unet import MULTIPLE, CorrectionUNet, ResidualBlock, pad, unshuffled_input
from training.network.model import InpaintingModel, ModelConfig
from training.network.smooth_fill import MULTIPLES_OF_32, smooth_fill

PARAMETERS = 7_656_876
"""At width 32."""


def picture_and_mask(height: int, width: int, count: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random pictures, zero in their holes, and masks with scattered holes and a solid one."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, height, width, generator=generator)
    known = (torch.rand(count, 1, height, width, generator=generator) > 0.2).float()
    known[:, :, height // 4 : height // 2, width // 4 : width // 4 * 3] = 0
    return image * known, known


@pytest.fixture(scope="module")
def network() -> CorrectionUNet:
    """A narrow network in double precision with random weights."""
    return randomised(CorrectionUNet(2), 0)


def test_it_has_7_656_876_parameters() -> None:
    with torch.device("meta"):
        model = InpaintingModel(ModelConfig("correction", 32))
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 50), (178, 178)])
def test_a_fresh_model_returns_the_smooth_fill(height: int, width: int) -> None:
    masked, known = picture_and_mask(height, width)
    with torch.inference_mode():
        answer = InpaintingModel(ModelConfig("correction", 2)).predict(masked, known)
        expected = smooth_fill(pad(masked), pad(known), MULTIPLES_OF_32)[..., :height, :width]
    assert torch.equal(answer, expected)


def test_the_correction_is_added_to_the_fill(network: CorrectionUNet) -> None:
    """It covers known pixels too; the model around the network restores those."""
    masked, known = (x.double() for x in picture_and_mask(64, 64))
    with torch.no_grad():
        correction = network(masked, known) - smooth_fill(masked, known, MULTIPLES_OF_32)
    assert correction.std() > 0.01
    assert correction[(known > 0).expand_as(masked)].std() > 0.01


# --- padding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "padded"), [(32, 32), (33, 64), (63, 64), (64, 64), (178, 192), (192, 192), (193, 224)]
)
def test_sides_are_padded_to_multiples_of_32(side: int, padded: int) -> None:
    x = torch.ones(1, 1, side, 32)
    assert MULTIPLE == 32
    assert pad(x).shape == (1, 1, padded, 32)
    assert torch.equal(pad(x)[:, :, :side], x)
    assert not pad(x)[:, :, side:].any()


@pytest.mark.parametrize(("height", "width"), [(33, 47), (32, 63), (65, 32), (178, 178)])
def test_padding_is_the_same_as_unknown_pixels_beyond_the_border(
    network: CorrectionUNet, height: int, width: int
) -> None:
    """A caller who pads the picture with a hole gets the same pixels back, bit for bit."""
    masked, known = (x.double() for x in picture_and_mask(height, width))
    with torch.no_grad():
        answer, padded = network(masked, known), network(pad(masked), pad(known))
    assert answer.shape == masked.shape
    assert torch.equal(answer, padded[..., :height, :width])


def test_padding_leaves_known_pixels_alone() -> None:
    model = InpaintingModel(ModelConfig("correction", 2))
    nn.init.normal_(model.unet.out.weight)
    masked, known = picture_and_mask(45, 70)
    with torch.inference_mode():
        answer = model(masked, known)
    where = (known > 0).expand_as(masked)
    assert torch.equal(answer[where], masked[where])


# --- the first layer ---------------------------------------------------------------------------------------------


def literal_unshuffle(x: np.ndarray) -> list[np.ndarray]:
    """The four sub-pixel pictures of each channel: top left, top right, bottom left, bottom right."""
    return [channel[row::2, column::2] for channel in x for row in (0, 1) for column in (0, 1)]


def scattered(known: Tensor) -> Tensor:
    return known


def one_subpixel(known: Tensor) -> Tensor:
    """In every block of 2×2 pixels only the bottom left one is known."""
    known = torch.zeros_like(known)
    known[..., 1::2, ::2] = 1
    return known


@pytest.mark.parametrize("holes", [scattered, one_subpixel, torch.zeros_like, torch.ones_like])
def test_the_first_layer_is_a_partial_convolution_over_the_four_subpixel_masks(
    network: CorrectionUNet, holes: Callable[[Tensor], Tensor]
) -> None:
    """Each of the picture's channels is under the mask of its own sub-pixel; fill and mask are known everywhere."""
    image, known = (x.double() for x in picture_and_mask(10, 14, seed=3))
    known = holes(known)
    masked, fill = image * known, torch.rand(1, 3, 10, 14, dtype=torch.float64)
    subpixels = literal_unshuffle(known[0].numpy())
    features = np.stack([s for x in (masked, fill, known) for s in literal_unshuffle(x[0].numpy())])
    masks = [*subpixels * 3, *[np.ones_like(subpixels[0])] * (12 + 4)]
    layer = network.first
    assert layer.bias is not None
    weight, bias = array(layer.conv.weight), array(layer.bias)[:, 0, 0]
    literal = literal_partial_conv(features, np.stack(masks), weight, bias)

    x, share = unshuffled_input(masked, known, fill)
    np.testing.assert_array_equal(x[0].numpy(), features)
    features_out, mask_out = layer(x, share)
    assert_same((features_out, mask_out), literal)


def test_every_window_has_something_known() -> None:
    """The fill is known everywhere, so the layers after the first need no mask."""
    masked, known = picture_and_mask(32, 32)
    _, share = unshuffled_input(masked, torch.zeros_like(known), masked)
    assert share.min() > 0


# --- residual blocks ---------------------------------------------------------------------------------------------


def test_residual_blocks_start_as_the_identity() -> None:
    network = CorrectionUNet(2)
    for blocks, channels in zip(network.encoder, (2, 4, 8, 12, 16), strict=True):
        x = torch.randn(1, channels, 5, 7)
        assert torch.equal(blocks(x), x)


def test_a_residual_block_adds_two_convolutions(network: CorrectionUNet) -> None:
    stage, x = network.encoder[1], torch.randn(1, 4, 9, 8, dtype=torch.float64)
    assert isinstance(stage, nn.Sequential)
    block = stage[0]
    assert isinstance(block, ResidualBlock)
    inner = F.relu(F.conv2d(x, block.conv1.weight, block.conv1.bias, padding=1))
    expected = x + F.conv2d(inner, block.conv2.weight, block.conv2.bias, padding=1)
    torch.testing.assert_close(block(x), expected)
