"""Networks with random weights that behave like trained ones, and pictures with holes to run them on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.network.coarse_to_fine import coarse_fill
from training.network.model import InpaintingModel, Kind, ModelConfig
from training.network.smooth_fill import ANY_SIZE, MULTIPLES_OF_32, smooth_fill

SMALL_SPREAD = 0.01
"""Of corrections on which 8 bits keep their tolerance; random weights give extremes more often than learnt ones."""

HOLES = ("empty", "scattered", "solid", "border", "corners", "lines", "mixed", "everything")


def random_network(
    kind: Kind, width: int, seed: int = 0, spread: float = 0.1, *, face_aware: bool = False
) -> InpaintingModel:
    """A network in evaluation mode with random weights, batch statistics of its own and an output with contrast.

    Its predictions on `pictures` lie within (0, 1), so that the final clamp hides no difference; `spread` is their
    standard deviation, or that of the correction to the first fill.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = InpaintingModel(ModelConfig(kind, width, face_aware))
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            norm.momentum = None  # statistics become the plain mean over the passes below
        for convolution in (m for m in model.modules() if isinstance(m, nn.Conv2d) and not m.weight.any()):
            nn.init.kaiming_normal_(convolution.weight)  # the correction network starts with zeros
        nn.init.normal_(model.unet.out.weight)
        if model.locator is not None:
            nn.init.normal_(model.locator.second.out.weight, std=0.02)
            nn.init.constant_(model.locator.second.out.bias[4:], 9.0)  # there is a face
        image, mask = pictures(4, 64, 64, seed), holes("mixed", 4, 64, 64, seed)
        with torch.no_grad():
            model.train().predict(image, mask)
            model.eval()
            masked = image * mask
            if model.coarse is not None:
                correction = model.coarse(masked, mask) - smooth_fill(masked, mask, MULTIPLES_OF_32)
                rescale(model.coarse.out, correction, spread, 0.0)
            prediction = model.predict(image, mask) - first_fill(model, masked, mask)
            rescale(model.unet.out, prediction, spread, 0.5 if kind == "report" else 0.0)
    return model


def rescale(out: nn.Conv2d, answer: Tensor, spread: float, mean: float) -> None:
    """Give a network's answer, N3HW, another standard deviation and mean in each colour."""
    assert out.bias is not None
    colours = len(out.bias) // 3 * 3  # without the channel for the share of the other side's detail
    scale, offset = (  # a correction's channels are four sub-pixels of each colour
        x.repeat_interleave(colours // 3) for x in (spread / answer.std((0, 2, 3)), answer.mean((0, 2, 3)))
    )
    out.weight[:colours] *= scale[:, None, None, None]
    out.bias[:colours] = (out.bias[:colours] - offset) * scale + mean


def first_fill(model: InpaintingModel, masked: Tensor, known: Tensor) -> Tensor:
    """What the network's output is added to."""
    if model.coarse is not None:
        return coarse_fill(masked, known, model.coarse)
    configs = {"residual": ANY_SIZE, "correction": MULTIPLES_OF_32}
    kind = model.config.kind
    return smooth_fill(masked, known, configs[kind]) if kind in configs else torch.zeros(())


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """N3HW float32 of middle brightness: broad colours with some noise."""
    generator = torch.Generator().manual_seed(seed)
    broad = torch.rand(count, 3, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(broad, size=(height, width), mode="bilinear", align_corners=False)
    noise = torch.rand(count, 3, height, width, generator=generator)
    return 0.35 + 0.25 * smooth + 0.05 * noise


def holes(kind: str, count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """N1HW float32, 1 = known, 0 = hole; each of a batch in another place."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(count, 1, height, width)
    for index, one in enumerate(mask[:, 0]):
        if kind in ("scattered", "mixed"):
            one[torch.rand(height, width, generator=generator) < 0.2] = 0
        if kind in ("solid", "mixed"):  # 60 % of the picture or less
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
