"""The network rewritten for inference: the same function as `training.network.model.InpaintingModel`, in fewer passes.

The report's network is rewritten by three identities, exact up to rounding:

- Batch normalisation in evaluation mode is an affine map per channel. With s = sum(M)/sum(1) and the factor r = 1/s
  (0 where nothing is known), BN(conv(x)·r) = r·(W'x + b'·s) for a folded weight W' and bias b'.
- r is never negative, so ReLU(r·z) = r·ReLU(z); and r is 0 exactly where the new mask is, so one product with r
  both renormalises and masks. A block's step becomes r·ReLU(W'x + b'·s): the ReLU can be fused into the convolution,
  and one elementwise product replaces three.
- A 2×2 transposed convolution of stride 2 is a 1×1 convolution to four times the channels followed by a pixel
  shuffle; ONNX Runtime has an 8-bit kernel for the latter but not for the former.

Where some of the input's channels are known everywhere, as the first fill is, every feature is known, too. The coverage
of a window then depends only on its distance from the picture's border, and is the same in all layers of one size.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.network.partial_conv import PartialConv2d, coverage, renormalise
from training.network.report_unet import PartialConvUNet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.network.model import InpaintingModel
    from training.network.report_unet import DoubleConv, UpBlock


class FoldedPartialConv(nn.Module):
    """A partial convolution, its batch normalisation and its ReLU: r·ReLU(W'x + b'·s)."""

    def __init__(self, partial: PartialConv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        scale, bias = _affine(norm)
        weight = partial.conv.weight * scale[:, None, None, None]
        self.conv = _conv(weight, padding=partial.conv.padding[0])
        self.bias = _conv(bias[:, None, None, None])

    def forward(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Take NCHW features and N1HW window coverage; return features, zero where unknown, and the new mask."""
        factor, known = renormalise(share)
        return self.features(x, share, factor), known

    def features(self, x: Tensor, share: Tensor, factor: Tensor) -> Tensor:
        """Take NCHW features, N1HW window coverage and its inverse; return the features alone."""
        return F.relu(self.conv(x) + self.bias(share)) * factor


class FoldedDoubleConv(nn.Module):
    """`training.network.report_unet.DoubleConv`, folded."""

    def __init__(self, block: DoubleConv) -> None:
        super().__init__()
        self.first = FoldedPartialConv(block.conv1, block.norm1)
        self.second = FoldedPartialConv(block.conv2, block.norm2)

    def forward(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """See `training.network.report_unet.DoubleConv.forward`."""
        x, mask = self.first(x, share)
        features, known = self.second(x, coverage([mask], [1]))
        return features, known


class FoldedUpBlock(nn.Module):
    """The report's `UpBlock`, folded, with 1×1 convolution and pixel shuffle instead of transposed convolution."""

    def __init__(self, block: UpBlock) -> None:
        super().__init__()
        weight, bias = block.up.weight, block.up.bias  # weight: in × out × 2 × 2
        channels_in, channels_out = weight.shape[:2]
        self.up = _conv(weight.permute(1, 2, 3, 0).reshape(4 * channels_out, channels_in, 1, 1))
        assert bias is not None  # noqa: S101 (the layer is built with one)
        self.up.bias = nn.Parameter(bias.detach().repeat_interleave(4))
        self.block = FoldedDoubleConv(block.block)

    def forward(self, x: Tensor, mask: Tensor, skip: Tensor, skip_mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `training.network.report_unet.UpBlock.forward`."""
        x = self.upsample(x, skip)
        mask = F.interpolate(mask, size=skip.shape[2:], mode="nearest")
        share = coverage([skip_mask, mask], [skip.shape[1], x.shape[1]])
        features, known = self.block(torch.cat([skip, x * mask], 1), share)
        return features, known

    def upsample(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return the features at the size of `skip`."""
        return F.interpolate(
            F.pixel_shuffle(self.up(x), 2), size=skip.shape[2:], mode="bilinear", align_corners=False
        )


class KnownUNet(nn.Module):
    """The report's network, folded, for an input with some channels known everywhere.

    Args:
        unet: The network, its blocks folded.
    """

    def __init__(self, unet: PartialConvUNet) -> None:
        super().__init__()
        self.down, self.up, self.out = unet.down, unet.up, unet.out

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        """See `training.network.report_unet.PartialConvUNet.forward`."""
        levels: list[tuple[Tensor, Tensor, Tensor]] = []  # features, coverage of windows and its inverse
        for depth, block in enumerate(cast("Iterable[FoldedDoubleConv]", self.down)):
            if depth:
                x = F.max_pool2d(x, 2)
            border = coverage([torch.ones_like(x[:, :1])], [1])
            inverse = 1 / border
            x = block.first.features(x, border if depth else share, inverse if depth else 1 / share)
            x = block.second.features(x, border, inverse)
            levels.append((x, border, inverse))
        x, _, _ = levels.pop()
        for up in cast("Iterable[FoldedUpBlock]", self.up):
            skip, border, inverse = levels.pop()
            x = torch.cat([skip, up.upsample(x, skip)], 1)
            x = up.block.second.features(up.block.first.features(x, border, inverse), border, inverse)
        prediction: Tensor = self.out(x)
        return prediction


class InferenceModel(nn.Module):
    """The exported graph: masking, network (the report's is folded), compositing.

    Args:
        model: The trained model; it is copied, not modified.
        dtype: Data type of the network, float32 or float16. Inputs, outputs, first fill and compositing stay
            float32, and so does the network that finds the face, whose answer is a position.
    """

    def __init__(self, model: InpaintingModel, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        unet = self.model.unet
        if isinstance(unet, PartialConvUNet):
            unet.down = nn.ModuleList(FoldedDoubleConv(block) for block in unet.down)  # type: ignore[arg-type]
            unet.up = nn.ModuleList(FoldedUpBlock(block) for block in unet.up)  # type: ignore[arg-type]
            if self.model.config.kind != "report":  # the input includes the first fill
                self.model.unet = KnownUNet(unet)  # type: ignore[assignment]
        self.model.requires_grad_(False).eval()
        for network in (self.model.unet, self.model.coarse):
            if network is not None:
                network.to(dtype)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """See `training.network.model.InpaintingModel.forward`."""
        filled: Tensor = self.model(image, mask)
        return filled


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return batch normalisation's scale and offset per channel in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018 (they are tracked by default)
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _conv(weight: Tensor, padding: int | str = 0) -> nn.Conv2d:
    """Return a convolution without bias with the given weight, out × in × k × k."""
    out, channels, *kernel = weight.shape
    conv = nn.Conv2d(channels, out, (kernel[0], kernel[1]), padding=padding, bias=False)
    conv.weight = nn.Parameter(weight.detach().clone())
    return conv
