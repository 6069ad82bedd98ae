"""A locator that finds what it is told."""

import torch
from torch import Tensor

from training.network.face_locator import FaceLocator


class KnownFace(FaceLocator):
    """Finds faces with N alignments, N×4; a positive logit says that there are faces."""

    def __init__(self, alignment: Tensor, logit: float = 30.0) -> None:
        super().__init__()
        self.found = alignment, torch.full((len(alignment),), logit)

    def forward(self, masked: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return self.found
