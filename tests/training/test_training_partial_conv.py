"""One-channel masks give what Liu et al.'s per-channel masks give: comparisons with a slow, literal reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_layers import (
    HOLES,
    array,
    assert_same,
    draw_maps,
    literal_double_conv,
    literal_network,
    literal_partial_conv,
    literal_up_block,
    randomised,
    tensors,
)

from training.network.partial_conv import PartialConv2d, coverage
from training.network.report_unet import DoubleConv, PartialConvUNet, UpBlock

sizes = st.integers(3, 12)
few = settings(max_examples=25, deadline=None, derandomize=True)


@few
@given(
    seed=st.integers(0, 10**6),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    height=sizes,
    width=sizes,
    holes=st.sampled_from(HOLES),
    bias=st.booleans(),
)
def test_partial_conv(
    seed: int, channels: tuple[int, int], height: int, width: int, holes: str, bias: bool
) -> None:
    rng = np.random.default_rng(seed)
    layer = randomised(PartialConv2d(*channels, bias=bias), seed)
    maps = draw_maps(rng, channels[0], height, width, holes)
    x, mask = tensors(maps)
    got = layer(x, coverage([mask], [channels[0]]))
    literal_bias = None if layer.bias is None else array(layer.bias)[:, 0, 0]
    assert_same(got, literal_partial_conv(*maps, array(layer.conv.weight), literal_bias))


@few
@given(
    seed=st.integers(0, 10**6),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    height=sizes,
    width=sizes,
    holes=st.sampled_from(HOLES),
)
def test_double_conv(seed: int, channels: tuple[int, int], height: int, width: int, holes: str) -> None:
    block = randomised(DoubleConv(*channels), seed)
    maps = draw_maps(np.random.default_rng(seed), channels[0], height, width, holes)
    x, mask = tensors(maps)
    assert_same(block(x, coverage([mask], [channels[0]])), literal_double_conv(*maps, block))


@few
@given(
    seed=st.integers(0, 10**6),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    height=st.integers(2, 7),
    width=st.integers(2, 7),
    odd=st.tuples(st.booleans(), st.booleans()),
    skip_holes=st.sampled_from(HOLES),
    holes=st.sampled_from(HOLES),
)
def test_up_block(
    seed: int,
    channels: tuple[int, int],
    height: int,
    width: int,
    odd: tuple[bool, bool],
    skip_holes: str,
    holes: str,
) -> None:
    """Skip and upsampled features have masks of their own, with or without one more row or column on the way up."""
    rng = np.random.default_rng(seed)
    block = randomised(UpBlock(*channels), seed)
    low = draw_maps(rng, channels[0], height, width, holes)
    skip = draw_maps(rng, channels[1], 2 * height + odd[0], 2 * width + odd[1], skip_holes)
    got = block(*tensors(low), *tensors(skip))
    assert_same(got, literal_up_block(*low, *skip, block))


@pytest.mark.parametrize(("skip_holes", "holes"), [("solid", "scattered"), ("scattered", "solid")])
def test_up_block_from_44_to_89(skip_holes: str, holes: str) -> None:
    """The report's own odd step: 44 pixels become 88, and are resized to the skip connection's 89."""
    rng = np.random.default_rng(7)
    block = randomised(UpBlock(3, 2), 7)
    low, skip = draw_maps(rng, 3, 44, 44, holes), draw_maps(rng, 2, 89, 89, skip_holes)
    got = block(*tensors(low), *tensors(skip))
    assert got[0].shape == (1, 2, 89, 89)
    assert_same(got, literal_up_block(*low, *skip, block))


def test_groups_are_weighted_by_their_channels() -> None:
    """Three known channels beside one unknown channel make a window three quarters known."""
    known, hole = torch.ones(1, 1, 5, 5), torch.zeros(1, 1, 5, 5)
    share = coverage([known, hole], [3, 1])
    assert share[0, 0, 2, 2] == 0.75
    assert share[0, 0, 0, 0].item() == pytest.approx(0.75 * 4 / 9)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (35, 45)])
@pytest.mark.parametrize("holes", ["none", "scattered", "solid"])
def test_the_whole_network(height: int, width: int, holes: str) -> None:
    rng = np.random.default_rng(height)
    network = randomised(PartialConvUNet(2), height)
    image = draw_maps(rng, 3, height, width, holes)
    x, mask = tensors(image)
    got = network(x, coverage([mask], [3]))
    np.testing.assert_allclose(got[0].detach().numpy(), literal_network(*image, network), rtol=1e-8)
