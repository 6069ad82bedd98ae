"""A server's metrics, read from Prometheus' text format."""

import requests
from requests_in_flight import PATIENCE


def samples(text: str) -> dict[str, float]:
    """The samples by name and labels, as they are written."""
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, value in lines}


def metrics(url: str) -> dict[str, float]:
    """A server's current samples."""
    return samples(requests.get(f"{url}/metrics", timeout=PATIENCE).text)
