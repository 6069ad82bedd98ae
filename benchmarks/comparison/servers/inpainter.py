"""What a user would write around the ONNX file: decode, run, encode."""

import io
import os
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

MODEL = Path(os.environ["MODEL"])
PORT = int(os.environ["PORT"])
THREADS = int(os.environ["THREADS"])


class Inpainter:
    """The ONNX file MODEL in ONNX Runtime with THREADS threads."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self._session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])

    def fill(self, image: Image.Image, mask: Image.Image) -> Image.Image:
        """Fill a photo where the mask is white."""
        inputs = {"image": planes(image, "RGB"), "mask": 1 - np.round(planes(mask, "L"))}
        (output,) = self._session.run(["output"], inputs)
        return picture(output)

    def fill_files(self, image: bytes, mask: bytes) -> bytes:
        """Fill a photo where the mask is white; files in, a PNG out."""
        return png(self.fill(opened(image), opened(mask)))


def opened(file: bytes) -> Image.Image:
    """Open a picture's file."""
    return Image.open(io.BytesIO(file))


def planes(image: Image.Image, mode: str) -> Floats:
    """Convert a picture to [1,C,H,W] float32 in [0, 1]."""
    pixels = np.asarray(image.convert(mode), np.float32) / np.float32(255)
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)[np.newaxis]


def picture(output: Floats) -> Image.Image:
    """Convert [1,3,H,W] float32 in [0, 1] to a picture."""
    pixels = np.rint(np.clip(output[0], 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels.transpose(1, 2, 0))


def png(image: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
