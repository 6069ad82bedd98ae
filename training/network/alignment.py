"""Where the face is in a window, and a coarse network's answer to the window as it would be if the face were aligned.

CelebA's pictures are aligned: rotated, scaled and shifted until eyes and mouth are nearly at the same places in all of
them. A network that is trained on them learns features at these places, and draws them worse anywhere else. So a small
network finds the similarity that aligns a face, also where it is partly covered, and the coarse network fills the
window a second time, resampled by it, as in Jaderberg et al., "Spatial Transformer Networks" (NIPS 2015).

Positions are pairs (x, y) in a square that the picture fills in its longer direction, [-1, 1] along either axis. An
alignment maps positions in an aligned picture to positions in a window: (a, b, x, y) for p ↦ (a + bi)·p + (x + yi),
with positions as complex numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

ALIGNED_SIZE: Final = 89
"""Side of the aligned picture that the coarse network fills, in pixels: half of `MODEL_SIZE`."""
LOCATOR_SIZE: Final = 64
"""Side of the picture that the locator sees, in pixels."""
CHANNELS: Final = (16, 32, 64, 128)
"""Channels of the locator's levels, each of half the size of the one before."""
HIDDEN: Final = 128
FEATURES: Final = ((-0.219, 0.028), (0.208, 0.028), (-0.006, 0.5))
"""Positions of the eyes and the mouth in an aligned picture: at 178×178, (69, 91), (107, 91) and (88, 133)."""
RAMP: Final = 0.15
"""Width of the rim of the aligned picture over which its answer fades out, as a position."""
LEAST_KNOWN: Final = 0.5
"""Known share from which on a resampled pixel counts as known."""


class FaceLocator(nn.Module):
    """Finds the alignment of the face in a picture with holes. 0.6 million parameters."""

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
            self.out.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]))  # the window is aligned already

    def forward(self, masked: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Find the face.

        Args:
            masked: N3HW float32 in [0, 1], zero in the hole.
            known: N1HW float32, 1 = known, 0 = hole.

        Returns:
            The alignments, N×4, and the logits of the probability that there is a face, N.
        """
        colour, known = resample(masked, known, positions(LOCATOR_SIZE, LOCATOR_SIZE, masked)[None])
        x = torch.cat([(colour - 0.5) * known * 4, known * 2 - 1], 1).to(self.out.weight.dtype)
        found = self.out(F.relu(self.hidden(self.layers(x).flatten(1)))).to(masked.dtype)
        return found[:, :4], found[:, 4]


def aligned_answer(
    masked: Tensor, known: Tensor, locator: FaceLocator, coarse: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return a coarse network's answer to the aligned window, and how much it counts.

    Args:
        masked: N3HW float32 in [0, 1], zero in the hole.
        known: N1HW float32, 1 = known, 0 = hole.
        locator: Finds the alignment.
        coarse: The network.

    Returns:
        The answer, N3HW float32, and its weight, N1HW in [0, 1]: 0 where no face was found and beyond the aligned
        picture.
    """
    alignment, logit = locator(masked, known)
    aligned = transform(alignment, positions(ALIGNED_SIZE, ALIGNED_SIZE, masked))
    colour, aligned_known = resample(masked, known, aligned)
    answer = torch.where(aligned_known > 0, colour, coarse(colour, aligned_known))
    back = transform(inverse(alignment), positions(masked.shape[2], masked.shape[3], masked))
    answer = F.grid_sample(answer, back, padding_mode="border", align_corners=False)
    weight = ((1 - back.abs().amax(3)) / RAMP).clamp(0, 1) * logit.sigmoid()[:, None, None]
    return answer, weight[:, None]


def positions(height: int, width: int, like: Tensor) -> Tensor:
    """Return the positions of a picture's pixels, H×W×2, on the device of another tensor and of its type."""
    side = _longer(height, width)
    rows, columns = (
        (torch.arange(length, device=like.device, dtype=like.dtype) * 2 + 1 - length) / side
        for length in (height, width)
    )
    return torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], 2)


def transform(alignment: Tensor, places: Tensor) -> Tensor:
    """Map positions, …×2, by N alignments, N×4. Return N×…×2."""
    a, b, x, y = (value.reshape(-1, *[1] * (places.dim() - 1)) for value in alignment.unbind(1))
    across, down = places.unbind(-1)
    return torch.stack([a * across - b * down + x, b * across + a * down + y], -1)


def inverse(alignment: Tensor) -> Tensor:
    """Return the alignments that map positions in a window to positions in the aligned picture; both N×4."""
    a, b, x, y = alignment.unbind(1)
    norm = (a * a + b * b).clamp(min=1e-4)
    a, b = a / norm, -b / norm
    return torch.stack([a, b, b * y - a * x, -b * x - a * y], 1)


def resample(masked: Tensor, known: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Sample a picture with holes at N×h×w×2 positions. Return colours, zero where unknown, and what is known: N1hw."""
    height, width = masked.shape[2:]
    side = _longer(height, width)
    places = torch.stack([places[..., 0] * (side / width), places[..., 1] * (side / height)], -1)
    places = places.expand(masked.shape[0], -1, -1, -1)
    colour, share = (
        F.grid_sample(x, places, padding_mode="zeros", align_corners=False) for x in (masked, known)
    )
    is_known = (share > LEAST_KNOWN).to(share.dtype)
    return colour / share.clamp(min=1e-4) * is_known, is_known


def _longer(height: int, width: int) -> int:
    side: int = torch.sym_max(height, width)  # type: ignore[no-untyped-call] # `max` would fix an exported graph's size
    return side
