"""One model, one pipeline, two engines: the same request gets the same answer from both."""

import numpy as np
import pytest
from engines import Engine
from rest import Fill, RestClient
from sample_pictures import block, encode, encode_mask, face, scratch

_CUT_OUT = np.dstack([face(300, 200), np.where(scratch(300, 200, 9), 0, 255).astype(np.uint8)])

FILLS = {
    "model-size": Fill(encode(face()), encode_mask(scratch(178, 178, 9))),
    "half-a-face": Fill(encode(face()), encode_mask(block(178, 178, 60, 60, 118))),
    "large": Fill(
        encode(face(700, 900)), encode_mask(scratch(700, 900, 12) | block(700, 900, 300, 300, 150))
    ),
    "small": Fill(encode(face(40, 30)), encode_mask(block(40, 30, 10, 10, 8))),
    "model-sized-answer": Fill(encode(face(300, 200)), encode_mask(scratch(300, 200, 9)), "model"),
    "transparency": Fill(encode(_CUT_OUT)),
    "jpeg": Fill(encode(face(300, 200), "JPEG"), encode_mask(scratch(300, 200, 9))),
    "empty-mask": Fill(encode(face()), encode_mask(np.zeros((178, 178), bool))),
}


@pytest.mark.parametrize("name", FILLS)
def test_onnx_and_torchserve_answer_alike(onnx_engine: Engine, torchserve_engine: Engine, name: str) -> None:
    first, second = (RestClient(engine.url).fill(FILLS[name]) for engine in (onnx_engine, torchserve_engine))
    assert first.facts == second.facts
    assert first.png == second.png
