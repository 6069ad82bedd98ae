"""Models so simple that what the geometry around them must do with their answers can be told exactly."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from serving.core.tiling import Model

Floats = NDArray[np.float32]


def mean_of_known(images: Floats, masks: Floats) -> Floats:
    """Fill each hole with the mean colour of what is known in the window."""
    total = (images * masks).sum(axis=(2, 3), keepdims=True)
    mean = total / np.maximum(masks.sum(axis=(2, 3), keepdims=True), 1)
    return np.where(masks > 0, images, mean).astype(np.float32)


def plane_through_known(images: Floats, masks: Floats) -> Floats:
    """Fill each hole with the plane that fits best to what is known: exact where a picture is a linear gradient."""
    filled = images.copy()
    for image, mask, output in zip(images, masks, filled, strict=True):
        rows, columns = np.indices(mask.shape[1:])
        basis = np.dstack([rows, columns, np.ones_like(rows)]).astype(np.float64)
        known = mask[0] > 0
        planes, *_ = np.linalg.lstsq(basis[known], image[:, known].T.astype(np.float64))
        output[:, ~known] = (basis[~known] @ planes).T
    return filled


@dataclass
class Watched:
    """Runs a model and keeps what it was asked."""

    run: Callable[[Floats, Floats], Floats] = mean_of_known
    batch: int = 1
    side: int = 178
    images: list[Floats] = field(default_factory=list)
    masks: list[Floats] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    @property
    def model(self) -> Model:
        def run(images: Floats, masks: Floats) -> Floats:
            self.calls.append(len(images))
            self.images += list(images)
            self.masks += list(masks)
            return self.run(images, masks)

        return Model(run, self.side, self.batch)

    def widest_holes(self, side: int) -> list[float]:
        """Diameter of the largest disc of unknown pixels inside each window of this side."""
        return [
            2 * float(cv2.distanceTransform((mask[0] == 0).astype(np.uint8), cv2.DIST_L2, 5).max())
            for mask in self.masks
            if mask.shape[1:] == (side, side)
        ]
