"""Valid requests that fuzzers damage."""

import base64
import gzip
import json

import numpy as np
from sample_pictures import block, encode, encode_mask, face

IMAGE, MASK = encode(face(32, 32)), encode_mask(block(32, 32, 8, 8, 8))
FORM_TYPE = "multipart/form-data; boundary=b"


def _part(name: str, data: bytes, filename: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"' + (
        f'; filename="{filename}"' if filename else ""
    )
    return b"--b\r\n" + disposition.encode() + b"\r\n\r\n" + data + b"\r\n"


def _infer(*, binary: bool) -> bytes:
    tensors = {"image": np.full((1, 3, 32, 32), 0.5, np.float32), "mask": np.ones((1, 1, 32, 32), np.float32)}
    inputs = []
    for name, array in tensors.items():
        entry = {"name": name, "shape": list(array.shape), "datatype": "FP32"}
        values = (
            {"parameters": {"binary_data_size": array.nbytes}} if binary else {"data": array.ravel().tolist()}
        )
        inputs.append(entry | values)
    raw = b"".join(array.tobytes() for array in tensors.values()) if binary else b""
    return json.dumps({"id": "1", "inputs": inputs, "outputs": [{"name": "output"}]}).encode() + raw


_JSON = json.dumps(
    {
        "image": base64.b64encode(IMAGE).decode(),
        "mask": "data:image/png;base64," + base64.b64encode(MASK).decode(),
        "output_size": "original",
    }
).encode()

SEEDS: dict[str, dict[str, bytes]] = {
    "json": {"json": _JSON},
    "gzip": {"gzip": gzip.compress(_JSON)},
    "form": {
        "files": _part("image", IMAGE, "a.png") + _part("mask", MASK, "b.png") + b"--b--\r\n",
        "text": _part("output_size", b"model") + _part("image", IMAGE, "\u00fc.png") + b"--b--\r\n",
    },
    "infer": {"json": _infer(binary=False), "binary": _infer(binary=True)},
}
