"""LitServe around the ONNX file."""

import litserve
from fastapi import Response
from starlette.datastructures import FormData

from benchmarks.comparison.servers.inpainter import PORT, Inpainter


class Fill(litserve.LitAPI):  # type: ignore[misc] # ships no types
    """`POST /predict`, a form with image and mask."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.inpainter = Inpainter()

    def decode_request(self, request: litserve.Request) -> tuple[bytes, bytes]:
        """Read the files of a form."""
        return read(request, "image"), read(request, "mask")

    def predict(self, files: tuple[bytes, bytes]) -> bytes:
        """Fill a photo where the mask is white."""
        return self.inpainter.fill_files(*files)

    def encode_response(self, filled: bytes) -> Response:
        """Return a PNG."""
        return Response(filled, media_type="image/png")


def read(form: FormData, name: str) -> bytes:
    """Read a file of a form."""
    file = form[name]
    assert not isinstance(file, str)  # noqa: S101
    return file.file.read()


if __name__ == "__main__":
    server = litserve.LitServer(Fill(), accelerator="cpu")
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="error")
