"""`/`: the web page if it is built, or else a redirect to the documentation."""

from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

ASSETS = "_app"
"""The folder of the build with everything but `index.html`."""

_IMMUTABLE = f"/{ASSETS}/immutable/"  # files with their content's hash in their name
# The stricter policy of the page itself is in its `index.html`, so that it applies on any host.
_HEADERS = {
    "Content-Security-Policy": "script-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
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
    app.router.routes.append(Mount(f"/{ASSETS}", GZipMiddleware(_Files(directory=folder / ASSETS))))


class _Files(StaticFiles):
    """Static files, cached forever if their name contains their hash; others are revalidated."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        immutable = scope["path"].startswith(scope.get("app_root_path", "") + _IMMUTABLE)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if immutable else "no-cache"
        response.headers.update(_HEADERS)
        return response
