"""Triton Inference Server around the ONNX file, by nvidia-pytriton."""

import numpy as np
from pytriton.model_config import ModelConfig, Tensor
from pytriton.proxy.types import Request
from pytriton.triton import Triton, TritonConfig

from benchmarks.comparison.servers.inpainter import PORT, Inpainter

inpainter = Inpainter()


def fill(requests: list[Request]) -> list[dict[str, np.ndarray]]:
    """Fill photos where their masks are white; the files are tensors of bytes."""
    files = [(request["image"].tobytes(), request["mask"].tobytes()) for request in requests]
    return [{"output": np.frombuffer(inpainter.fill_files(*each), np.uint8)} for each in files]


def file(name: str) -> Tensor:
    """Describe a tensor that is a file's bytes."""
    return Tensor(name=name, dtype=np.uint8, shape=(-1,))


if __name__ == "__main__":
    config = TritonConfig(http_address="127.0.0.1", http_port=PORT, allow_grpc=False, allow_metrics=False)
    with Triton(config=config) as triton:
        triton.bind(
            "inpaint",
            fill,
            [file("image"), file("mask")],
            [file("output")],
            config=ModelConfig(batching=False),
        )
        triton.serve()
