"""FastAPI and eager PyTorch, as in the report; MODEL is a checkpoint, or `literal`: the report's network, untrained."""

from typing import Annotated

import torch
import uvicorn
from fastapi import FastAPI, File, Response

from benchmarks.comparison.servers.inpainter import MODEL, PORT, THREADS, opened, picture, planes, png
from benchmarks.literal_network import LiteralUNet
from training.weights import load_weights

app = FastAPI()
torch.set_num_threads(THREADS)
network = LiteralUNet(64).eval() if MODEL.name == "literal" else load_weights(MODEL)[0]


@app.post("/fill")
def fill(image: Annotated[bytes, File()], mask: Annotated[bytes, File()]) -> Response:
    """Fill a photo where the mask is white."""
    photo = torch.from_numpy(planes(opened(image), "RGB"))
    known = 1 - torch.from_numpy(planes(opened(mask), "L")).round()
    with torch.inference_mode():
        filled = torch.where(known > 0, photo, network(photo, known))
    return Response(png(picture(filled.numpy())), media_type="image/png")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error")
