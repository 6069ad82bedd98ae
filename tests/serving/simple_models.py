"""Models so simple that what the geometry around them must do with their answers can be told exactly."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from serving.windows import Model

Floats = NDArray[np.float32]


def mean_of_known(images: Floats, masks: Floats) -> Floats:
    """Fill each hole with the mean colour of what is known in the window."""
    total = (images * masks).sum(axis=(2, 3), keepdims=True)
    mean = total / np.maximum(masks.sum(axis=(2, 3), keepdims=True), 1)
    return np.where(masks > 0, images, mean).astype(np.float32)


@dataclass
class Watched:
    """Runs a model and keeps what it was asked."""

    run: object = mean_of_known
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
            return self.run(images, masks)  # type: ignore[operator]

        return Model(run, self.side, self.batch)

    def widest_hole(self, side: int) -> float:
        """Diameter of the largest disc of unknown pixels inside any window of this side."""
        return max(
            2 * float(cv2.distanceTransform((mask[0] == 0).astype(np.uint8), cv2.DIST_L2, 5).max())
            for mask in self.masks
            if mask.shape[1:] == (side, side)
        )
