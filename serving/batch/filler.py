"""Fill photos in this process."""

import io
from pathlib import Path

from PIL import ExifTags, Image, ImageOps

from serving.batch.jobs import Job
from serving.batch.storage import read, write
from serving.core.contract import FillRequest
from serving.core.errors import InpaintError, InvalidImageError, InvalidMaskError, MissingInputError
from serving.core.image_files import swaps_sides
from serving.core.models import load_models, model_sources
from serving.core.pipeline import Filled, Pipeline
from serving.core.runtime import Device


class Filler:
    """A loaded model and the pipeline around it. Its methods are thread-safe."""

    def __init__(
        self, model: str | Path, *, device: Device = "cpu", require_gpu: bool = False, threads: int = 0
    ) -> None:
        """Load a model.

        Args:
            model: an ONNX file, or NAME=FILE.
            device: where to run it.
            require_gpu: fail if no GPU runs it.
            threads: CPU threads, 0 for one per core.

        Raises:
            StartupError: the file is not an inpainting model, or no GPU runs it.
        """
        sources = model_sources([str(model)])
        (runtime,) = load_models(sources[:1], device=device, require_gpu=require_gpu, threads=threads)
        self._pipeline = Pipeline(runtime)

    def fill(self, request: FillRequest) -> Filled:
        """Fill one image; `Pipeline.fill` describes the errors."""
        return self._pipeline.fill(request)

    def fill_file(self, job: Job, *, scale_mask: bool = False) -> str | None:
        """Fill a photo and write the result.

        Args:
            job: the files.
            scale_mask: whether to resize the mask if its size differs from the photo's.

        Returns:
            Why it could not be filled, or None.
        """
        try:
            photo = read(job.photo)
            mask = None if job.mask is None else read(job.mask)
            if mask is not None and scale_mask:
                mask = _scaled(mask, photo)
            write(job.output, self.fill(FillRequest(photo, mask)).response.image)
        except MissingInputError:
            return "it has no mask and no transparent pixels"
        except InpaintError as error:
            return error.message
        except OSError as error:
            return str(error)
        return None


def _scaled(mask: bytes, photo: bytes) -> bytes:
    """Return the mask resized to the size that the photo has after its EXIF orientation is applied."""
    try:
        with Image.open(io.BytesIO(photo)) as image:
            size = (
                image.size[::-1]
                if swaps_sides(image.getexif().get(ExifTags.Base.Orientation, 1))
                else image.size
            )
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidImageError(f"The photo cannot be decoded: {error}.") from error
    try:
        with Image.open(io.BytesIO(mask)) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.size == size:
                return mask
            buffer = io.BytesIO()
            upright.resize(size, Image.Resampling.NEAREST).save(buffer, "PNG")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidMaskError(f"The mask cannot be decoded: {error}.") from error
    return buffer.getvalue()
