"""The client: one object for one server."""

import os
from collections.abc import Generator, Iterable, Sized
from contextlib import closing
from types import TracebackType
from typing import Self

from tqdm import tqdm

from .concurrency import map_ordered
from .errors import InpaintError, InvalidInputError
from .health import Health, read_health, wait_until_ready
from .policy import Retry, Timeout
from .prediction import OutputSize, check_output_size, predict
from .result import FillResult
from .sources import Source
from .transport import Transport

DEFAULT_URL = "http://127.0.0.1:8080"


class InpaintClient:
    """Fills holes in photos through an inpainting server, TorchServe or the ONNX server alike.

    Holds one HTTP session, so make one client and use it often; a context manager closes it. It may be used
    from several threads.

    Args:
        url: the server's address, from the environment variable `INPAINT_URL` where it is left out, and
            `http://127.0.0.1:8080` where that is not set either.
        api_key: sent as `Authorization: Bearer …`; from `INPAINT_API_KEY` where it is left out.
        timeout: a `Timeout`, or the seconds to wait for an answer (and, up to 5, for the connection).
        retries: a `Retry`, or how often to repeat a request that failed in a way that may pass: no
            connection, a timeout, 429, 502, 503, 504 or 507. Other answers are never asked for again.

    Raises:
        InvalidInputError: a malformed URL, API key, timeout or number of retries.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: Timeout | float | None = None,
        retries: Retry | int | None = None,
    ) -> None:
        self._transport = Transport(
            url or os.environ.get("INPAINT_URL") or DEFAULT_URL,
            api_key=api_key or os.environ.get("INPAINT_API_KEY"),
            timeout=_as_timeout(timeout),
            retry=_as_retry(retries),
        )

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return self._transport.url

    def __repr__(self) -> str:
        return f"InpaintClient({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def fill(
        self, image: Source, mask: Source | None = None, *, output_size: OutputSize = "original"
    ) -> FillResult:
        """Fill what the mask marks; every other pixel comes back as it was.

        Args:
            image: the photo: a path, encoded bytes, a binary file object, a Pillow image, or an array HW or
                HWC, C = 1, 3 (RGB) or 4 (RGBA), uint8 in [0, 255]. Files and bytes are sent as they are,
                and the server applies their EXIF orientation; Pillow images and arrays as their pixels lie.
            mask: of the photo's width and height, in any of these forms; white (128 and above) is the hole.
                An array is HW, bool (True = hole) or uint8. Without a mask the photo needs an alpha
                channel; its transparent pixels are the hole then.
            output_size: `original` for the photo's own size, `model` for the model's 178x178.

        Raises:
            InvalidInputError: an input that cannot be sent.
            TransportError: no answer, after all repeats.
            ClientError: the server refuses the input, and says why.
            ServerError: the server failed, or was still too busy after all repeats.
            ContractError: something else than an inpainting server answered.
        """
        return predict(self._transport, image, mask, output_size)

    def fill_many(
        self,
        pairs: Iterable[tuple[Source, Source | None]],
        *,
        output_size: OutputSize = "original",
        max_concurrency: int = 4,
        progress: bool = True,
        total: int | None = None,
    ) -> Generator[FillResult | InpaintError, None, None]:
        """Fill many photos, several at once, and yield what became of each, in the order given.

        A photo that fails does not stop the others: its error takes its place among the results. The caller
        tells the two apart with `isinstance(outcome, InpaintError)`, and raises it, or notes it and goes on.

        `pairs` may be endless: it is read as the results are taken, at most 2 · `max_concurrency` ahead.
        Breaking off, or closing the generator, starts nothing new and does not wait for what is under way.

        Args:
            pairs: photo and mask of each, as `fill` takes them.
            output_size: as for `fill`.
            max_concurrency: requests under way at one time, 1 or more.
            progress: whether to show a progress bar on stderr.
            total: number of pairs, for the progress bar, where `pairs` has no length of its own.

        Raises:
            InvalidInputError: `max_concurrency` or `output_size` is wrong; at once, not at the first result.
        """
        if max_concurrency < 1:
            raise InvalidInputError(f"max_concurrency is {max_concurrency}; give 1 or more")
        check_output_size(output_size)

        def attempt(pair: tuple[Source, Source | None]) -> FillResult | InpaintError:
            try:
                return self.fill(*pair, output_size=output_size)
            except InpaintError as error:
                return error

        def outcomes() -> Generator[FillResult | InpaintError, None, None]:
            length = len(pairs) if isinstance(pairs, Sized) else total
            with closing(map_ordered(attempt, pairs, max_concurrency=max_concurrency)) as filled:
                yield from tqdm(filled, total=length, unit="photo", disable=not progress)

        return outcomes()

    def health(self) -> Health:
        """Ask the server once, without repeats, how it is and which versions it runs.

        A healthy TorchServe may still be loading its model; `wait_until_ready` tells when it can answer.

        Raises:
            TransportError: no answer within 10 seconds.
            ResponseError: the server is up but unhealthy, or wants another API key.
            ContractError: something else answers at this URL.
        """
        return read_health(self._transport)

    def wait_until_ready(self, *, timeout: float = 60.0, interval: float = 0.5) -> Health:
        """Wait until the server fills a tiny generated picture; its health then has the model's version.

        Args:
            timeout: seconds to wait in all; 0 tries once.
            interval: seconds between two tries.

        Raises:
            NotReadyError: the server was not ready in time; the message and the cause say what it lacked.
            ClientError: the server refuses what no waiting will make it accept, such as the API key.
        """
        return wait_until_ready(self._transport, timeout=timeout, interval=interval)


def _as_timeout(timeout: Timeout | float | None) -> Timeout:
    if timeout is None:
        return Timeout()
    if isinstance(timeout, Timeout):
        return timeout
    return Timeout(connect=min(timeout, Timeout().connect), read=timeout)


def _as_retry(retries: Retry | int | None) -> Retry:
    if retries is None:
        return Retry()
    return retries if isinstance(retries, Retry) else Retry(count=retries)
