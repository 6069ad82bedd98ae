"""Networks with random weights that behave like trained ones, and pictures with holes to run them on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from training.network.model import InpaintingModel, ModelConfig
from training.network.smooth_fill import ANY_SIZE, MULTIPLES_OF_32, smooth_fill

Kind = Literal["report", "residual", "correction"]

SMALL_SPREAD = 0.01
"""Of corrections that 8 bits keep their tolerance on; random weights answer in extremes more often than learnt ones."""

HOLES = ("empty", "scattered", "solid", "border", "corners", "lines", "mixed", "everything")


def random_network(kind: Kind, width: int, seed: int = 0, spread: float = 0.1) -> InpaintingModel:
    """A network in evaluation mode with random weights, batch statistics of its own and an output with contrast.

    Its predictions on `pictures` lie within (0, 1), so that the final clamp hides no difference; `spread` is their
    standard deviation, or that of the correction to the first fill.
    """
    fills = {"residual": ANY_SIZE, "correction": MULTIPLES_OF_32}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = InpaintingModel(ModelConfig(kind, width))
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            norm.momentum = None  # statistics become the plain mean over the passes below
        for convolution in (m for m in model.modules() if isinstance(m, nn.Conv2d) and not m.weight.any()):
            nn.init.kaiming_normal_(convolution.weight)  # the correction network starts with zeros
        nn.init.normal_(model.unet.out.weight)
        image, mask = pictures(4, 64, 64, seed), holes("mixed", 4, 64, 64, seed)
        with torch.no_grad():
            model.train().predict(image, mask)
            model.eval()
            start = smooth_fill(image * mask, mask, fills[kind]) if kind in fills else torch.zeros(())
            prediction = model.predict(image, mask) - start
            out = model.unet.out  # a correction's channels are four sub-pixels of each colour
            assert out.bias is not None
            scale, mean = (
                x.repeat_interleave(len(out.bias) // 3)
                for x in (spread / prediction.std((0, 2, 3)), prediction.mean((0, 2, 3)))
            )
            out.weight *= scale[:, None, None, None]
            out.bias.copy_((out.bias - mean) * scale + (0.0 if kind in fills else 0.5))
    return model


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """N3HW float32 of middle brightness: broad colours with some noise."""
    generator = torch.Generator().manual_seed(seed)
    broad = torch.rand(count, 3, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(broad, size=(height, width), mode="bilinear", align_corners=False)
    noise = torch.rand(count, 3, height, width, generator=generator)
    return 0.35 + 0.25 * smooth + 0.05 * noise


def holes(kind: str, count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """N1HW float32, 1 = known, 0 = hole; each of a batch at another place."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(count, 1, height, width)
    for index, one in enumerate(mask[:, 0]):
        if kind in ("scattered", "mixed"):
            one[torch.rand(height, width, generator=generator) < 0.2] = 0
        if kind in ("solid", "mixed"):  # 60 % and less of the picture
            tall, wide = (round(side * 0.6**0.5) - index for side in (height, width))
            top, left = (height - tall) * index // count, (width - wide) * index // count
            one[top : top + tall, left : left + wide] = 0
        if kind == "border":
            one[: 3 + index] = one[-3:] = one[:, :3] = one[:, -3 - index :] = 0
        if kind == "corners":
            side = min(height, width) // 3 + index
            one[:side, :side] = one[:side, -side:] = one[-side:, :side] = one[-side:, -side:] = 0
        if kind == "lines":
            one[height // 3 + index] = one[:, width // 2 - index] = 0
        if kind == "everything":
            one[:] = 0
    return mask
