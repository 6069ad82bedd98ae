"""`/`: the web page if it is built, or else a redirect to the documentation."""

from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

ASSETS = "_app"
"""The folder of the build with everything but `index.html` and the service worker."""
SERVICE_WORKER = "service-worker.js"
"""Lets the page work without a connection. A service worker controls its own folder and those below."""

_IMMUTABLE = f"/{ASSETS}/immutable/"  # files with a hash of their content in the name
_GZIPPED = ".bin"  # the model and the runtime for removal in the browser
# The stricter policy of the page itself is in its `index.html`, so that it applies on any host.
_HEADERS = {
    # WebAssembly is needed for removal in the browser.
    "Content-Security-Policy": (
        "script-src 'self' 'wasm-unsafe-eval'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Only a page that is isolated from other origins may use several threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


def is_built(folder: Path) -> bool:
    """Tell whether the folder contains a build of the page."""
    return (folder / "index.html").is_file() and (folder / ASSETS).is_dir()


def add_page(app: FastAPI, folder: Path) -> None:
    """Serve the page's build at `/`; without one, redirect to the documentation."""
    if not is_built(folder):
        app.router.routes.append(Route("/", lambda _: RedirectResponse("/docs")))
        return
    index = GZipMiddleware(_Files(directory=folder, html=True))
    app.router.routes.append(Route("/", index, methods=["GET"]))
    app.router.routes.append(Route(f"/{SERVICE_WORKER}", index, methods=["GET"]))
    app.router.routes.append(Mount(f"/{ASSETS}", _Assets(directory=folder / ASSETS)))


class _Assets:
    """The files of the folder `ASSETS`, gzipped on the way unless they are gzipped already."""

    def __init__(self, directory: Path) -> None:
        self._files = _Files(directory=directory)
        self._gzipping = GZipMiddleware(self._files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._files if scope["path"].endswith(_GZIPPED) else self._gzipping
        await app(scope, receive, send)


class _Files(StaticFiles):
    """Static files, cached forever if their name contains their hash; others are revalidated."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        immutable = scope["path"].startswith(scope.get("app_root_path", "") + _IMMUTABLE)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if immutable else "no-cache"
        response.headers.update(_HEADERS)
        return response
