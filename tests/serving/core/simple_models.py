"""Models so simple that the result of tiling and the pyramid can be computed exactly."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from serving.core.graph import Floats
from serving.core.tiling import Model


def mean_of_known(images: Floats, known: Floats) -> Floats:
    """Fill each hole with the mean colour of the window's known pixels."""
    total = (images * known).sum(axis=(2, 3), keepdims=True)
    mean = total / np.maximum(known.sum(axis=(2, 3), keepdims=True), 1)
    return np.where(known > 0, images, mean).astype(np.float32)


def plane_through_known(images: Floats, known: Floats) -> Floats:
    """Fill each hole with the plane that best fits the known pixels: exact where a picture is a linear gradient."""
    filled = images.copy()
    for image, (mask,), output in zip(images, known > 0, filled, strict=True):
        rows, columns = np.indices(mask.shape)
        basis = np.dstack([rows, columns, np.ones_like(rows)]).astype(np.float64)
        planes, *_ = np.linalg.lstsq(basis[mask], image[:, mask].T.astype(np.float64))
        output[:, ~mask] = (basis[~mask] @ planes).T
    return filled


@dataclass
class Watched:
    """Runs a model and records its inputs."""

    run: Callable[[Floats, Floats], Floats] = mean_of_known
    batch: int = 1
    side: int = 178
    images: list[Floats] = field(default_factory=list)
    known: list[Floats] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    @property
    def model(self) -> Model:
        def run(images: Floats, known: Floats) -> Floats:
            self.calls.append(len(images))
            self.images += list(images)
            self.known += list(known)
            return self.run(images, known)

        return Model(run, self.side, self.batch)

    def widest_holes(self, side: int) -> list[float]:
        """Diameter of the largest disc of unknown pixels inside each window of this side."""
        return [
            2 * float(cv2.distanceTransform((known[0] == 0).astype(np.uint8), cv2.DIST_L2, 5).max())
            for known in self.known
            if known.shape[1:] == (side, side)
        ]
