"""Tell whether the server in this container is ready: `python healthcheck.py URL`, the images' HEALTHCHECK.

The URL is `/v2/health/ready` of the ONNX Runtime server, or the description of the model on TorchServe's management
port, because TorchServe's own `/ping` reports healthy before its workers are ready. It needs only Python's standard
library.
"""

import json
import sys
import urllib.request


def is_ready(url: str) -> bool:
    """Tell whether the server responds, and whether all of its workers, if it has any, are ready.

    Raises:
        OSError: there is no response, or its status is not 2xx.
        ValueError: the response is not JSON.
    """
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 (a URL of the image itself)
        answer = json.load(response)
    if isinstance(answer, dict):
        return True
    workers = answer[0]["workers"]
    return bool(workers) and all(worker["status"] == "READY" for worker in workers)


if __name__ == "__main__":
    try:
        sys.exit(0 if is_ready(sys.argv[1]) else "a worker is not ready")
    except (OSError, ValueError) as error:
        sys.exit(str(error))
