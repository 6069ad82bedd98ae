"""Requests that are answered quickly, requests that are not, and a wait for a condition."""

import time
from collections.abc import Callable

import numpy as np
import requests
from sample_pictures import encode, encode_mask, face, scratch

PREDICT = "/predictions/inpaint"

# Seconds, far above what anything takes: a hang fails its test instead of blocking the whole run.
PATIENCE = 180


def small() -> dict[str, bytes]:
    """The files of a request that is answered quickly."""
    return {"image": encode(face(64, 64)), "mask": encode_mask(scratch(64, 64, 3))}


def large(side: int = 1000) -> dict[str, bytes]:
    """The files of a request that takes about a second on an idle machine: with 1000 pixels a side, 81 windows."""
    hole = np.zeros((side, side), bool)
    hole[50::100] = hole[:, 50::100] = True
    return {"image": encode(face(side, side)), "mask": encode_mask(hole)}


def post(url: str, files: dict[str, bytes], **headers: str) -> requests.Response:
    """Ask a server to fill a picture."""
    return requests.post(url + PREDICT, files=files, headers=headers, timeout=PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
