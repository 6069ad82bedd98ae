"""GridSample for ONNX's reference evaluator, whose own implementation takes 20 seconds for 64×64 positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx.reference.op_run import OpRun

if TYPE_CHECKING:
    from numpy.typing import NDArray


class GridSample(OpRun):
    """Bilinear interpolation; pixels beyond the image are zero, and positions -1 and 1 are its edges."""

    def _run(
        self,
        image: NDArray[np.float32],
        grid: NDArray[np.float32],
        align_corners: int | None = None,
        mode: str | None = None,
        padding_mode: str | None = None,
    ) -> tuple[Any, ...]:
        if (align_corners, mode, padding_mode) != (0, "linear", "zeros"):
            raise NotImplementedError(f"GridSample with {align_corners=}, {mode=}, {padding_mode=}")
        height, width = image.shape[2:]
        places = ((grid + 1) * (width, height) - 1) / 2
        first = np.floor(places).astype(np.int64)
        share = places - first
        batch = np.arange(len(image))[:, None, None]
        total = np.zeros((*grid.shape[:3], image.shape[1]))
        for right, below in np.ndindex(2, 2):
            x, y = first[..., 0] + right, first[..., 1] + below
            weight = np.abs(1 - right - share[..., 0]) * np.abs(1 - below - share[..., 1])
            weight *= (x >= 0) & (x < width) & (y >= 0) & (y < height)
            colours = image[batch, :, y.clip(0, height - 1), x.clip(0, width - 1)]
            total += weight[..., None] * colours
        return (np.moveaxis(total, 3, 1).astype(image.dtype),)
