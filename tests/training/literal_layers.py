"""Partial convolutions computed slowly, exactly as Liu et al. (2018) define them, and helpers to compare with them.

Masks have as many channels as their features throughout, and every window of every layer is computed as in the paper:
x' = Wᵀ(X⊙M)·sum(1)/sum(M) + b where sum(M) > 0, and 0 elsewhere; m' = 1 where sum(M) > 0, and 0 elsewhere. Skip
connections concatenate features with features and masks with masks. Everything is in double precision.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from training.network.report_unet import DoubleConv, PartialConvUNet, UpBlock

Array = np.ndarray
Module = TypeVar("Module", bound=nn.Module)
Maps = tuple[Array, Array]
"""Features and masks, each C×H×W."""

# --- the paper, word for word ----------------------------------------------------------------------------------


def literal_partial_conv(x: Array, m: Array, weight: Array, bias: Array | None = None) -> Maps:
    """One partial convolution with 3×3 windows; pixels beyond the border are holes."""
    out_channels = weight.shape[0]
    channels, height, width = x.shape
    known_x = np.pad(np.where(m > 0, x, 0.0), ((0, 0), (1, 1), (1, 1)))
    known = np.pad(m, ((0, 0), (1, 1), (1, 1)))
    sum_of_ones = channels * 3 * 3
    y = np.zeros((out_channels, height, width))
    new_mask = np.zeros((out_channels, height, width))
    for i in range(height):
        for j in range(width):
            sum_of_mask = known[:, i : i + 3, j : j + 3].sum()
            if sum_of_mask > 0:
                window = known_x[:, i : i + 3, j : j + 3]
                y[:, i, j] = (weight * window).sum((1, 2, 3)) * (sum_of_ones / sum_of_mask)
                if bias is not None:
                    y[:, i, j] += bias
                new_mask[:, i, j] = 1
    return y, new_mask


def literal_double_conv(x: Array, m: Array, block: DoubleConv) -> Maps:
    """(Partial convolution, batch normalisation in evaluation mode, ReLU) twice."""
    for partial, norm in ((block.conv1, block.norm1), (block.conv2, block.norm2)):
        x, m = literal_partial_conv(x, m, array(partial.conv.weight))
        mean, variance = array(norm.running_mean), array(norm.running_var)
        scale, offset = array(norm.weight), array(norm.bias)
        for c in range(len(x)):
            x[c] = np.maximum((x[c] - mean[c]) / np.sqrt(variance[c] + norm.eps) * scale[c] + offset[c], 0)
    return x, m


def literal_up(x: Array, up: nn.ConvTranspose2d) -> Array:
    """A 2×2 transposed convolution of stride 2."""
    weight, bias = array(up.weight), array(up.bias)
    y = np.zeros((weight.shape[1], 2 * x.shape[1], 2 * x.shape[2]))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            y[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = np.tensordot(x[:, i, j], weight, 1)
    biased: Array = y + bias[:, None, None]
    return biased


def literal_bilinear(x: Array, height: int, width: int) -> Array:
    """Bilinear interpolation, pixel centres at half integers, borders repeated."""

    def taps(size: int, new: int) -> tuple[Array, Array, Array]:
        position = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, None)
        low = np.floor(position).astype(int)
        return low, np.minimum(low + 1, size - 1), position - low

    top, bottom, v = taps(x.shape[1], height)
    left, right, h = taps(x.shape[2], width)
    rows = x[:, top] * (1 - v)[:, None] + x[:, bottom] * v[:, None]
    resized: Array = rows[:, :, left] * (1 - h) + rows[:, :, right] * h
    return resized


def literal_nearest(m: Array, height: int, width: int) -> Array:
    rows = np.arange(height) * m.shape[1] // height
    columns = np.arange(width) * m.shape[2] // width
    return m[:, rows][:, :, columns]


def literal_up_block(x: Array, m: Array, skip: Array, skip_mask: Array, block: UpBlock) -> Maps:
    """Upsampled features and masks at the size of the skip connection, concatenated after it."""
    height, width = skip.shape[1:]
    up = literal_bilinear(literal_up(np.where(m > 0, x, 0.0), block.up), height, width)
    up_mask = np.repeat(literal_nearest(m[:1], height, width), len(up), axis=0)
    features, masks = np.concatenate([skip, up]), np.concatenate([skip_mask, up_mask])
    return literal_double_conv(features, masks, block.block)


def literal_pool(x: Array) -> Array:
    """2×2 maximum; a last odd row or column is left out."""
    height, width = x.shape[1] // 2, x.shape[2] // 2
    pooled: Array = x[:, : 2 * height, : 2 * width].reshape(len(x), height, 2, width, 2).max((2, 4))
    return pooled


def literal_network(x: Array, m: Array, network: PartialConvUNet) -> Array:
    skips: list[Maps] = []
    for level, block in enumerate(network.down):
        assert isinstance(block, DoubleConv)
        if level:
            x, m = literal_pool(np.where(m > 0, x, 0.0)), literal_pool(m)
        x, m = literal_double_conv(x, m, block)
        skips.append((x, m))
    skips.pop()
    for block in network.up:
        assert isinstance(block, UpBlock)
        x, m = literal_up_block(x, m, *skips.pop(), block)
    weight, bias = array(network.out.weight)[:, :, 0, 0], array(network.out.bias)
    out: Array = np.tensordot(weight, np.where(m > 0, x, 0.0), 1) + bias[:, None, None]
    return out


# --- comparing with it -----------------------------------------------------------------------------------------


def array(parameter: Tensor | None) -> Array:
    assert parameter is not None
    return parameter.detach().numpy()


def randomised(module: Module, seed: int) -> Module:
    """The module in double precision and evaluation mode, with random parameters and batch statistics."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name.endswith("running_var"):
                tensor.uniform_(0.2, 2.0, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0.0, 0.5, generator=generator)
    return module


def draw_maps(rng: np.random.Generator, channels: int, height: int, width: int, holes: str) -> Maps:
    """Features under one mask for all channels, zero in the hole as this network keeps them."""
    if holes == "none":
        mask = np.ones((height, width))
    elif holes == "scattered":
        mask = (rng.random((height, width)) > 0.6).astype(float)
    elif holes == "solid":  # some windows lie entirely in it
        mask = np.ones((height, width))
        mask[height // 4 : height // 4 + height // 2 + 1, width // 4 : width // 4 + width // 2 + 1] = 0
    else:
        mask = np.zeros((height, width))
    return rng.normal(size=(channels, height, width)) * mask, np.repeat(mask[None], channels, axis=0)


def tensors(maps: Maps) -> tuple[Tensor, Tensor]:
    """The network's inputs: a batch of one, the mask with a single channel."""
    x, m = maps
    return torch.from_numpy(x)[None], torch.from_numpy(m[:1])[None]


def assert_same(got: tuple[Tensor, Tensor], literal: Maps) -> None:
    """Features agree, zero where the literal mask is zero; the one-channel mask equals every literal channel."""
    features, mask = got[0][0].detach().numpy(), got[1][0].numpy()
    x, m = literal
    assert np.array_equal(np.broadcast_to(mask, m.shape), m)
    np.testing.assert_allclose(features, np.where(m > 0, x, 0.0), rtol=1e-9, atol=1e-9)


HOLES = ("none", "scattered", "solid", "all")
"""The kinds of holes that `draw_maps` draws."""
