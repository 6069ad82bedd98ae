"""The inpainting network: the report's U-Net of partial convolutions, and the composited model around it.

`PartialConvUNet` follows the report's table layer by layer: features 64-128-256-512, bottleneck 1024, two 3×3
partial convolutions a block, 2×2 max-pooling, 2×2 stride-2 transposed convolutions, skip concatenation and a 1×1
output convolution; 31,037,763 parameters at width 64.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.errors import SettingsError
from training.partial_conv import PartialConv2d, coverage
from training.smooth_fill import smooth_fill

MODEL_SIZE = 178
"""Side of the pictures that the network is trained on, in pixels."""
MIN_SIZE = 32
"""Least side of a picture that the network takes, in pixels."""
DEPTH = 4
"""Poolings between the first block and the bottleneck."""


@dataclass(frozen=True)
class ModelConfig:
    """What a network is built from.

    Attributes:
        width: Channels of the first block; every level down doubles them. The report has 64.
        residual: Predict a correction to a smooth first fill of the hole instead of the picture itself. The
            network then sees the fill too, as three more channels that are known everywhere.

    Raises:
        SettingsError: `width` is less than 1.
    """

    width: int = 64
    residual: bool = False

    def __post_init__(self) -> None:
        if self.width < 1:
            raise SettingsError(f"the network's width must be at least 1, not {self.width}")

    @property
    def in_channels(self) -> int:
        """Channels that the network sees: the picture's three, and three more of its first fill."""
        return 6 if self.residual else 3


class DoubleConv(nn.Module):
    """(3×3 partial convolution, batch normalisation, ReLU) twice; the output is zero where it is unknown."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = PartialConv2d(in_channels, out_channels)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = PartialConv2d(out_channels, out_channels)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the block to NCHW features whose windows are known to the N1HW `share`; return features and mask."""
        x, mask = self.conv1(x, share)
        x = F.relu(self.norm1(x)) * mask.to(x.dtype)
        x, mask = self.conv2(x, coverage([mask], [1]))
        return F.relu(self.norm2(x)) * mask.to(x.dtype), mask


class UpBlock(nn.Module):
    """Transposed convolution, concatenation with the skip connection, double convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, 2)
        self.block = DoubleConv(2 * out_channels, out_channels)

    def forward(self, x: Tensor, mask: Tensor, skip: Tensor, skip_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's features and mask at the size of `skip`."""
        x, size = self.up(x), skip.shape[2:]
        if x.shape[2:] != size:  # resizing to the same size changes nothing, but takes time
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        mask = F.interpolate(mask, size=size, mode="nearest")
        share = coverage([skip_mask, mask], [skip.shape[1], x.shape[1]])
        features, known = self.block(torch.cat([skip, x * mask.to(x.dtype)], 1), share)
        return features, known


class PartialConvUNet(nn.Module):
    """The report's U-Net; any height and width of 32 pixels and more."""

    def __init__(self, width: int, in_channels: int = 3) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(DEPTH + 1)]
        inputs = [in_channels, *channels[:-1]]
        self.down = nn.ModuleList(DoubleConv(i, o) for i, o in zip(inputs, channels, strict=True))
        self.up = nn.ModuleList(UpBlock(channels[i + 1], channels[i]) for i in reversed(range(DEPTH)))
        self.out = nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        """Predict the picture, or the correction to its first fill.

        Args:
            x: NCHW float, the input channels, zero wherever they are unknown.
            share: N1HW float in [0, 1], how much of each window of `x` is known, from `coverage`.

        Returns:
            N3HW float, unbounded.
        """
        skips: list[tuple[Tensor, Tensor]] = []
        *encoder, bottleneck = self.down
        for block in encoder:
            x, known = block(x, share)
            skips.append((x, known))
            x, share = F.max_pool2d(x, 2), coverage([F.max_pool2d(known, 2)], [1])
        x, known = bottleneck(x, share)
        for block in self.up:
            x, known = block(x, known, *skips.pop())
        prediction: Tensor = self.out(x)
        return prediction


def network_input(image: Tensor, mask: Tensor, *, residual: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Prepare what the network sees.

    Args:
        image: N3HW float32 in [0, 1]; what lies under the hole does not matter.
        mask: N1HW float32, 1 = known, 0 = hole.
        residual: Whether the network corrects a first fill.

    Returns:
        The network's input channels, the coverage of their windows, and what its prediction is added to.
    """
    # `where`, not a product: whatever lies under the hole, NaN included, must not matter.
    masked = torch.where(mask > 0, image, torch.zeros_like(image))
    if not residual:
        return masked, coverage([mask], [3]), torch.zeros_like(image)
    start = smooth_fill(masked, mask)
    return torch.cat([masked, start], 1), coverage([mask, torch.ones_like(mask)], [3, 3]), start


class InpaintingModel(nn.Module):
    """The network with everything around it that the ONNX graph holds too: masking, first fill, compositing."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = PartialConvUNet(config.width, config.in_channels)
        if config.residual:
            nn.init.zeros_(self.unet.out.weight)
            nn.init.zeros_(self.unet.out.bias)  # type: ignore[arg-type]

    def predict(self, image: Tensor, mask: Tensor) -> Tensor:
        """Predict the whole picture, known pixels too; see `forward` for the arguments. N3HW float32, unbounded."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            x, share, start = network_input(image, mask, residual=self.config.residual)
        prediction: Tensor = self.unet(x, share).float()
        return prediction + start

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Fill the hole.

        Args:
            image: N3HW float32 RGB in [0, 1]; what lies under the hole does not matter. H and W at least 32.
            mask: N1HW float32, 1 = known, 0 = hole.

        Returns:
            N3HW float32 in [0, 1], equal to `image` wherever it is known.
        """
        return torch.where(mask > 0, image, self.predict(image, mask).clamp(0, 1))

    def settings(self) -> dict[str, object]:
        """Return the configuration as a plain mapping, to be stored with the weights."""
        return asdict(self.config)
