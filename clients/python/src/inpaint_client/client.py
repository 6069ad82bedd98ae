"""The synchronous and the asynchronous client."""

import os
from collections.abc import AsyncGenerator, Generator, Iterable, Sized
from contextlib import aclosing, closing
from typing import Any, ClassVar, Self, Unpack

from tqdm.auto import tqdm

from .concurrency import map_ordered, map_ordered_async
from .exceptions import InpaintError, InvalidInputError
from .health import Health, read_health, wait_until_ready
from .inputs import ImageInput
from .marks import Marks, request_marks
from .predictions import FillOptions, FillResult, check_options, predict
from .transport import DEFAULT_MODEL, AsyncBackend, SyncBackend, Transport, run_sync

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_TIMEOUT = 120.0
DEFAULT_RETRY_FOR = 60.0

# A photo and its mask, or None if the photo has an alpha channel.
Pair = tuple[ImageInput, ImageInput | None]


class _BaseClient:
    _backend: ClassVar[type[SyncBackend] | type[AsyncBackend]]

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry_for: float = DEFAULT_RETRY_FOR,
        model: str = DEFAULT_MODEL,
    ) -> None:
        self._transport = Transport(
            url or os.environ.get("INPAINT_URL") or DEFAULT_URL,
            api_key=api_key or os.environ.get("INPAINT_API_KEY"),
            timeout=timeout,
            retry_for=retry_for,
            model=model,
            backend=self._backend,
        )

    @property
    def url(self) -> str:
        """The URL of the server, without a trailing slash."""
        return self._transport.url

    @property
    def timeout(self) -> float:
        """The number of seconds for one fill in total, including retries."""
        return self._transport.timeout

    @property
    def retry_for(self) -> float:
        """The number of seconds to keep retrying after a temporary failure."""
        return self._transport.retry_for

    @property
    def model(self) -> str:
        """The name of the model that fills."""
        return self._transport.model

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self.url!r}, timeout={self.timeout:g}, retry_for={self.retry_for:g})"


class InpaintClient(_BaseClient):
    """Client for an inpainting server, whether TorchServe or the ONNX Runtime server.

    The client keeps a pool of connections: create it once and reuse it. It can be used from several
    threads and as a context manager.

    Args:
        url: URL of the server; `http://` is added if it has no scheme. Defaults to the environment
            variable `INPAINT_URL`, or `http://127.0.0.1:8080` if that is not set.
        api_key: sent as `Authorization: Bearer …`. Defaults to the environment variable `INPAINT_API_KEY`.
        timeout: seconds for one fill in total, including downloads and retries. The server is told how many are
            left, and cancels its work after that. The fill then fails with `RequestTimeoutError` and is not
            retried.
        retry_for: seconds to keep retrying after the first temporary failure; 0 disables retries. Connection
            errors, the status codes 429, 502, 503 and 507, and TorchServe's 500 "Worker died" are temporary.
            The waits between retries grow exponentially, with random jitter, and are never shorter than the
            server's `Retry-After`.
        model: name of the model that fills, where a server has several.

    Raises:
        InvalidInputError: the URL, the API key, a number of seconds or the model's name is invalid.
    """

    _backend = SyncBackend

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        run_sync(self._transport.close())

    def fill(
        self,
        image: ImageInput,
        mask: ImageInput | None = None,
        **options: Unpack[FillOptions],
    ) -> FillResult:
        """Fill the pixels that the mask marks. All other pixels are returned unchanged.

        Args:
            image: a path, encoded bytes, a binary file, a Pillow image, or an array of shape HW or HWC with
                C = 1, 3 (RGB) or 4 (RGBA), uint8 in [0, 255]. Files and bytes are sent unchanged, and the
                server applies their EXIF orientation.
            mask: an image of the same width and height, in any of these forms; white (128 and above) is the
                hole. Arrays have shape HW and dtype bool (True = hole) or uint8. The mask can be omitted if
                the image has an alpha channel: its transparent pixels are then the hole.
            **options: see `FillOptions`.

        Raises:
            InvalidInputError: the image or the mask cannot be sent.
            TransportError: there was no response, after all retries.
            ClientError: the server rejected the image or the mask.
            ServerError: the server failed, or was overloaded, after all retries.
            InvalidResponseError: the URL points to a different service.
        """
        return run_sync(predict(self._transport, image, mask, **options))

    def find_marks(self, image: ImageInput, *, sensitivity: float = 0.5, allow_urls: bool = False) -> Marks:
        """Propose a mask that covers the photo's scratches, dust, pen strokes and lines.

        Check the mask before filling: the network that finds the marks can mistake details of the photo for marks.
        TorchServe does not find marks; the ONNX Runtime server and Ray Serve do.

        Args:
            image: as for `fill`.
            sensitivity: from 0 (only what is certainly a mark) to 1 (whatever may be one).
            allow_urls: as for `fill`.

        Raises:
            InvalidInputError: the image cannot be sent, or the sensitivity is invalid.
            InpaintError: as for `fill`; a server that cannot find marks answers with a `ClientError` with code 404.
        """
        return run_sync(request_marks(self._transport, image, sensitivity=sensitivity, allow_urls=allow_urls))

    def fill_many(
        self,
        pairs: Iterable[Pair],
        *,
        max_concurrency: int = 4,
        progress: bool = True,
        total: int | None = None,
        **options: Unpack[FillOptions],
    ) -> Generator[FillResult | InpaintError, None, None]:
        """Fill many images concurrently and yield the results in order.

        If an image fails, its exception is yielded in place of a result, and the other images are still
        filled; use `isinstance(result, InpaintError)` to tell them apart.

        `pairs` can be infinite: at most 2 · `max_concurrency` items are read ahead. After the
        generator is closed, no new requests are started; closing does not wait for the running ones.

        Args:
            pairs: pairs of an image and its mask, as for `fill`.
            max_concurrency: maximum number of concurrent requests.
            progress: whether to show a progress bar.
            total: number of pairs for the progress bar, if `pairs` has no length.
            **options: as for `fill`.

        Raises:
            InvalidInputError: `max_concurrency` or an option is invalid.
        """
        _check_fill_many(options, max_concurrency)

        def attempt(pair: Pair) -> FillResult | InpaintError:
            try:
                return self.fill(*pair, **options)
            except InpaintError as error:
                return error

        def results() -> Generator[FillResult | InpaintError, None, None]:
            with (
                _progress_bar(pairs, total, progress) as bar,
                closing(map_ordered(attempt, pairs, max_concurrency=max_concurrency)) as filled,
            ):
                for result in filled:
                    bar.update()
                    yield result

        return results()

    def health(self) -> Health:
        """Return the server's health and versions. The request is not retried.

        TorchServe can be healthy while its model is still loading; use `wait_until_ready` to wait for it.

        Raises:
            TransportError: there was no response within 10 seconds.
            HTTPStatusError: the server is unhealthy, or rejects the API key.
            InvalidResponseError: the URL points to a different service.
        """
        return run_sync(read_health(self._transport))

    def wait_until_ready(self, *, timeout: float = 60.0, interval: float = 0.5) -> Health:
        """Wait until the server fills a small generated image, and return its health.

        Args:
            timeout: seconds to wait in total; 0 tries once.
            interval: seconds between two attempts.

        Raises:
            NotReadyError: the server was not ready within the timeout; `__cause__` is the last error.
            ClientError: the server rejects the request for a reason that waiting does not fix.
        """
        return run_sync(wait_until_ready(self._transport, timeout=timeout, interval=interval))


class AsyncInpaintClient(_BaseClient):
    """The asyncio version of `InpaintClient`, with the same arguments, results and exceptions.

    Files are read and images are encoded in threads. Cancelling a task closes its connection.
    """

    _backend = AsyncBackend

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def fill(
        self,
        image: ImageInput,
        mask: ImageInput | None = None,
        **options: Unpack[FillOptions],
    ) -> FillResult:
        """See `InpaintClient.fill`."""
        return await predict(self._transport, image, mask, **options)

    async def find_marks(
        self, image: ImageInput, *, sensitivity: float = 0.5, allow_urls: bool = False
    ) -> Marks:
        """See `InpaintClient.find_marks`."""
        return await request_marks(self._transport, image, sensitivity=sensitivity, allow_urls=allow_urls)

    def fill_many(
        self,
        pairs: Iterable[Pair],
        *,
        max_concurrency: int = 4,
        progress: bool = True,
        total: int | None = None,
        **options: Unpack[FillOptions],
    ) -> AsyncGenerator[FillResult | InpaintError, None]:
        """See `InpaintClient.fill_many`. Closing the generator cancels the running requests."""
        _check_fill_many(options, max_concurrency)

        async def attempt(pair: Pair) -> FillResult | InpaintError:
            try:
                return await self.fill(*pair, **options)
            except InpaintError as error:
                return error

        async def results() -> AsyncGenerator[FillResult | InpaintError, None]:
            with _progress_bar(pairs, total, progress) as bar:
                async with aclosing(
                    map_ordered_async(attempt, pairs, max_concurrency=max_concurrency)
                ) as filled:
                    async for result in filled:
                        bar.update()
                        yield result

        return results()

    async def health(self) -> Health:
        """See `InpaintClient.health`."""
        return await read_health(self._transport)

    async def wait_until_ready(self, *, timeout: float = 60.0, interval: float = 0.5) -> Health:
        """See `InpaintClient.wait_until_ready`."""
        return await wait_until_ready(self._transport, timeout=timeout, interval=interval)


def _check_fill_many(options: FillOptions, max_concurrency: int) -> None:
    check_options(**{name: value for name, value in options.items() if name != "allow_urls"})  # type: ignore[arg-type]
    if max_concurrency < 1:
        raise InvalidInputError(f"max_concurrency is {max_concurrency}; it must be 1 or more")


def _progress_bar(pairs: Iterable[Pair], total: int | None, progress: bool) -> "tqdm[Any]":
    length = len(pairs) if isinstance(pairs, Sized) else total
    return tqdm(total=length, unit="photo", disable=not progress)
