"""BentoML around the ONNX file."""

from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from PIL import Image

from benchmarks.comparison.servers.inpainter import Inpainter


@bentoml.service
class Fill:
    """`POST /fill`, a form with image and mask."""

    def __init__(self) -> None:
        self.inpainter = Inpainter()

    @bentoml.api  # type: ignore[untyped-decorator] # ships no types
    def fill(self, image: Image.Image, mask: Image.Image) -> Annotated[Image.Image, ContentType("image/png")]:
        """Fill a photo where the mask is white."""
        return self.inpainter.fill(image, mask)
