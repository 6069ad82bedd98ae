"""An HTTP server on loopback that fails in the ways a test asks for.

Without a script, requests are answered according to the REST contract. The "model" fills the hole with the
mean colour of the other pixels, so the response depends on everything that was sent. The "marks" of an image are its
brightest pixels, more of them at a higher sensitivity.
"""

import base64
import io
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Part:
    filename: str | None
    content: bytes


@dataclass(frozen=True)
class Recorded:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    parts: dict[str, Part] = field(default_factory=dict)


Action = Callable[["Handler"], None]


def reply(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Action:
    """Respond with this status and body; a keyword such as `Retry_After` is a header."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body

    def act(handler: "Handler") -> None:
        handler.answer(status, content, {name.replace("_", "-"): value for name, value in headers.items()})

    return act


def drop(handler: "Handler") -> None:
    """Close the connection without a response."""
    handler.close_connection = True


def truncate(handler: "Handler") -> None:
    """Close the connection in the middle of a response."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.wfile.write(b'{"image": "')
    handler.close_connection = True


def stall(handler: "Handler") -> None:
    """Send nothing until the end of the test."""
    handler.server.over.wait()
    handler.close_connection = True


def trickle(handler: "Handler") -> None:
    """Send a byte of the response every 10 ms until the end of the test."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.over.wait(0.01):
        handler.wfile.write(b" ")
    handler.close_connection = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise each response takes 40 ms
    server: "LoopbackServer"

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.recorded = Recorded(self.command, self.path, dict(self.headers), body, self._parts(body))
        with self.server.lock:
            self.server.requests.append(self.recorded)
            script = self.server.script[self.path]
            action = script.pop(0) if script else self.server.usual.get(self.path, reply(404))
        action(self)

    do_GET = do_POST = do_OPTIONS = serve  # noqa: N815

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _parts(self, body: bytes) -> dict[str, Part]:
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            return {}
        message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        parts = {}
        for part in message.iter_parts():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            parts[str(part.get_param("name", header="Content-Disposition"))] = Part(
                part.get_filename(), content
            )
        return parts

    def log_message(self, *args: object) -> None:
        pass


class LoopbackServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int = 0, also: Mapping[str, Action] | None = None) -> None:
        """Start serving at once; `also` adds paths to the usual ones."""
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.requests: list[Recorded] = []
        self.script: defaultdict[str, list[Action]] = defaultdict(list)
        self.usual: dict[str, Action] = {
            "/ping": reply(200, {"status": "Healthy"}),
            "/predictions/inpaint": predict,
            "/masks/marks": find_marks,
            **(also or {}),
        }
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def on_predict(self, *actions: Action) -> None:
        """Script the next responses to predictions."""
        self.script["/predictions/inpaint"].extend(actions)

    @property
    def predictions(self) -> list[Recorded]:
        return [request for request in self.requests if request.path == "/predictions/inpaint"]

    def stop(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # some tests close the connection


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def encode(array: np.ndarray, picture_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, picture_format, **options)
    return buffer.getvalue()


def predict(handler: Handler) -> None:
    parts = handler.recorded.parts
    image = Image.open(io.BytesIO(parts["image"].content))
    if "mask" in parts:
        mask = Image.open(io.BytesIO(parts["mask"].content)).convert("L")
    elif image.has_transparency_data:
        mask = image.convert("RGBA").getchannel("A").point(lambda alpha: 255 - alpha)
    else:
        message = "the mask is missing, and the image has no alpha channel"
        return reply(400, {"code": 400, "type": "MissingInputException", "message": message})(handler)
    if mask.size != image.size:
        message = f"the mask is {mask.width}x{mask.height}, and the image {image.width}x{image.height}"
        return reply(400, {"code": 400, "type": "MaskSizeMismatchException", "message": message})(handler)
    pixels = np.array(image)
    hole = np.asarray(mask) >= 128
    pixels[hole] = pixels[~hole].mean(axis=0).round().astype(np.uint8)
    answer = {
        "image": base64.b64encode(encode(pixels)).decode(),
        "mime_type": "image/png",
        "width": image.width,
        "height": image.height,
        "hole_ratio": float(hole.mean()),
        "model": "inpaint",
        "model_version": "1.2",
    }
    return reply(200, answer)(handler)


def find_marks(handler: Handler) -> None:
    parts = handler.recorded.parts
    grey = np.asarray(Image.open(io.BytesIO(parts["image"].content)).convert("L"))
    marks = grey > np.quantile(grey, 1 - 0.5 * float(parts["sensitivity"].content))
    answer = {
        "mask": base64.b64encode(encode(marks.astype(np.uint8) * 255)).decode(),
        "width": marks.shape[1],
        "height": marks.shape[0],
        "share": float(marks.mean()),
    }
    return reply(200, answer)(handler)
