"""A face locator that returns a given alignment."""

import torch
from torch import Tensor

from training.network.face_locator import FaceLocator


class KnownFace(FaceLocator):
    """Returns N given alignments, N×4; a positive logit means that there are faces."""

    def __init__(self, alignment: Tensor, logit: float = 30.0) -> None:
        super().__init__()
        self.found = alignment, torch.full((len(alignment),), logit)

    def forward(self, masked: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return self.found
