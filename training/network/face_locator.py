"""Networks that find the face in a picture, even if partly covered: how it is rotated, scaled and shifted."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.network.alignment import compose, positions, resample, transform
from training.network.smooth_fill import downsample
from training.network.wide_holes import wide_parts

LOCATOR_SIZE: Final = 64
"""Side of the picture that the networks see, in pixels."""
CHANNELS: Final = (16, 32, 64, 128)
"""Channels of a network's levels, each half the size of the one before."""
HIDDEN: Final = 128
LOOKS: Final = 3
"""Number of looks, all but the first by the same network; the third halves the error on small faces."""


class Face(NamedTuple):
    """The face in each of N pictures.

    Attributes:
        alignment: N×4, maps positions in an aligned picture to positions in this one.
        weight: N1HW in [0, 1], how much the face helps to fill each pixel: the probability that there is one in the
            wide parts of the hole, 0 elsewhere. What is around thin marks says more about them than a face does.
    """

    alignment: Tensor
    weight: Tensor


class AlignmentNetwork(nn.Module):
    """Finds the alignment of the face in a picture of `LOCATOR_SIZE` with holes. 0.6 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inner, outer in zip((3 + 1, *CHANNELS), CHANNELS, strict=False):
            layers += [
                nn.Conv2d(inner, outer, 3, 2, 1),
                nn.ReLU(),
                nn.Conv2d(outer, outer, 3, 1, 1),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)
        last = LOCATOR_SIZE >> len(CHANNELS)
        self.hidden = nn.Linear(CHANNELS[-1] * last**2, HIDDEN)
        self.out = nn.Linear(HIDDEN, 4 + 1)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.out.bias.copy_(
                torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
            )  # before training, pictures count as aligned

    def forward(self, colour: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Find the face in a picture from `resample`; the result is as in `FaceLocator.forward`."""
        x = torch.cat([(colour - 0.5 * weight) * 4, weight * 2 - 1], 1).to(self.out.weight.dtype)
        found = self.out(F.relu(self.hidden(self.layers(x).flatten(1)))).to(colour.dtype)
        return found[:, :4], found[:, 4]


class FaceLocator(nn.Module):
    """Finds the alignment of the face in a picture with holes, in `LOOKS` looks. 1.1 million parameters.

    After the first look, each is at the picture as aligned by the one before, so the faces that the second network sees
    are nearly alike.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = AlignmentNetwork()
        self.second = AlignmentNetwork()

    def forward(self, masked: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Find the face.

        Args:
            masked: N3HW float32 in [0, 1], zero in the hole.
            known: N1HW float32, 1 = known, 0 = hole.

        Returns:
            The alignments, N×4, and the logits of the probability that there is a face, N.
        """
        return self.looks(masked, known)[-1]

    def looks(self, masked: Tensor, known: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return what each look finds, as `forward` does; the gradient of a look does not reach the one before."""
        square = positions(LOCATOR_SIZE, LOCATOR_SIZE, masked)
        found = [self.first(*resample(masked, known, square[None]))]
        while len(found) < LOOKS:
            start = found[-1][0].detach()
            rest, logit = self.second(*resample(masked, known, transform(start, square)))
            found.append((compose(start, rest), logit))
        return found


def find_face(masked: Tensor, known: Tensor, locator: FaceLocator) -> Face:
    """Find the face in pictures of any size; no gradient flows through the result.

    Args:
        masked: N3HW float32 in [0, 1], zero in the hole.
        known: N1HW float32, 1 = known, 0 = hole.
        locator: Finds it, in the picture at half size, which is large enough for it, and smoother.
    """
    with torch.no_grad(), torch.autocast(masked.device.type, enabled=False):
        alignment, logit = locator(*downsample(masked, known, any_size=True))
        return Face(alignment, logit.sigmoid()[:, None, None, None] * wide_parts(known))
