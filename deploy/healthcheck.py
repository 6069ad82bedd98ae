"""Whether the server in this container can answer: `python healthy.py URL`, the images' HEALTHCHECK.

The URL is the ONNX Runtime server's `/v2/health/ready`, or TorchServe's description of the model on its management
port, since TorchServe's own `/ping` is healthy before its workers are. It needs nothing but Python.
"""

import json
import sys
import urllib.request


def healthy(url: str) -> bool:
    """Tell whether the server answers, and each worker, where it has any, is ready.

    Raises:
        OSError: it does not answer, or not with a 2xx.
        ValueError: the answer is no JSON.
    """
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 (a URL of the image's own)
        answer = json.load(response)
    if isinstance(answer, dict):
        return True
    workers = answer[0]["workers"]
    return bool(workers) and all(worker["status"] == "READY" for worker in workers)


if __name__ == "__main__":
    try:
        sys.exit(0 if healthy(sys.argv[1]) else "not every worker is ready")
    except (OSError, ValueError) as error:
        sys.exit(str(error))
