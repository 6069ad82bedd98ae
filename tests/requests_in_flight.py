"""Requests that are soon answered, requests that are not, and waiting for something to come true."""

import time
from collections.abc import Callable

import numpy as np
import requests
from sample_pictures import encode, encode_mask, face, scratch

PREDICT = "/predictions/inpaint"

# Seconds, far above what anything takes; only so that what hangs fails its test and not the whole run.
PATIENCE = 180


def small() -> dict[str, bytes]:
    """The files of a request that is soon answered."""
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
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
