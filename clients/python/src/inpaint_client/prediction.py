"""The prediction request: photo and mask out, the filled picture back."""

from typing import Literal, TypeAlias, get_args

from .errors import InvalidInputError
from .policy import Retry, Timeout
from .result import FillResult, parse_fill_result
from .sources import Source, load_mask, load_photo
from .transport import Transport

OutputSize: TypeAlias = Literal["original", "model"]


def check_output_size(output_size: str) -> None:
    """Refuse anything that is no `OutputSize`.

    Raises:
        InvalidInputError: it is none.
    """
    if output_size not in get_args(OutputSize):
        raise InvalidInputError(f"output_size is {output_size!r}; give 'original' or 'model'")


def predict(
    transport: Transport,
    image: Source,
    mask: Source | None,
    output_size: OutputSize,
    *,
    timeout: Timeout | None = None,
    retry: Retry | None = None,
) -> FillResult:
    """Ask `POST /predictions/inpaint`; arguments and errors as `InpaintClient.fill` has them."""
    check_output_size(output_size)
    files = {"image": load_photo(image)}
    if mask is not None:
        files["mask"] = load_mask(mask)
    response = transport.send(
        "POST",
        "/predictions/inpaint",
        data={"output_size": output_size},
        files=files,
        timeout=timeout,
        retry=retry,
    )
    return parse_fill_result(response.content)
