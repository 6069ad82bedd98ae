"""The server's settings, from flags and environment variables."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, CliApp, CliSuppress, NoDecode, SettingsConfigDict
from typing_extensions import TypeVar

from serving.core.cpus import available_cores
from serving.core.errors import SettingsError
from serving.core.models import default_model
from serving.core.pipeline import DEFAULT_MAX_PIXELS
from serving.core.runtime import Device

_PREFIX = "INPAINT_"


class Settings(BaseSettings):
    """Serve the inpainting model over HTTP.

    Every flag is also an environment variable: --max-pixels is INPAINT_MAX_PIXELS. The API key is read from the
    environment only.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        cli_prog_name="python -m serving",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """address to listen on; 0.0.0.0 for every network interface"""
    port: int = Field(8080, ge=0, le=65535)
    """port to listen on; 0 for any free one"""
    model: Annotated[list[str], NoDecode] = []
    """an ONNX file, NAME=FILE or a folder of ONNX files; repeat the flag or separate several with commas;
    without one, the model that ships, in 8 bits on a CPU and in float32 on a GPU"""
    page: Path = Path("clients/web/build")
    """folder of the built web page, served at /; without one, / redirects to /docs"""
    allow_origin: str | None = None
    """another origin whose pages may use this server, such as https://photos.example; * for any"""
    device: Device = "cpu"
    """where to run the model; without a GPU, cuda and tensorrt fall back to the CPU with a warning"""
    require_gpu: bool = False
    """refuse to start if no GPU runs the model"""
    threads: int = Field(0, ge=0, le=256)
    """CPU threads of each run of the model under load; 0 divides the cores by `concurrency`"""
    concurrency: int = Field(0, ge=0, le=64)
    """runs of the model at the same time; 0 divides the cores by `threads`, and is one on a GPU"""
    queue_size: int = Field(16, ge=0, le=10_000)
    """predictions that may wait in the queue; further ones are answered 503 immediately"""
    max_seconds: float = Field(600, gt=0)
    """seconds that a request may take, including its body and its time in the queue"""
    max_body_bytes: int = Field(64 * 2**20, ge=1024)
    """maximum size of a request body in bytes"""
    max_total_body_bytes: int = Field(256 * 2**20, ge=1024)
    """maximum total size in bytes of all request bodies in memory, at least that of one body"""
    max_pixels: int = Field(DEFAULT_MAX_PIXELS, ge=1024)
    """maximum number of pixels of an image"""
    api_key: CliSuppress[SecretStr | None] = None
    """the key that predictions must send as `Authorization: Bearer KEY`; none by default"""
    graceful_seconds: int = Field(30, ge=0, le=3600)
    """seconds to wait for requests in flight when stopping"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """the lowest level that is logged"""

    @field_validator("model", mode="before")
    @classmethod
    def _split_models(cls, value: object) -> object:
        return list(filter(None, value.split(","))) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _choose_model(self) -> Self:
        self.model = self.model or [str(default_model(self.device))]
        return self

    @property
    def runs_at_once(self) -> int:
        """Runs of the model at the same time."""
        if self.concurrency:
            return self.concurrency
        return min(64, max(1, available_cores() // (self.threads or 1))) if self.device == "cpu" else 1

    @property
    def threads_per_run(self) -> int:
        """CPU threads of each run of the model under load."""
        return self.threads or max(1, available_cores() // self.runs_at_once)

    @property
    def threads_alone(self) -> int:
        """CPU threads of a run without load: those of all runs, but no more than there are cores."""
        return max(self.threads_per_run, min(self.threads_per_run * self.runs_at_once, available_cores()))


S = TypeVar("S", bound=Settings, default=Settings)


def load_settings(arguments: list[str], kind: type[S] = Settings) -> S:  # type: ignore[assignment]
    """Read settings of one kind from flags first, then the environment.

    Raises:
        SettingsError: a value is invalid, or the API key was passed as a flag.
        SystemExit: help was requested, or a flag is unknown.
    """
    if any(argument.startswith("--api") for argument in arguments):
        raise SettingsError(
            f"Set the API key in the environment, {_PREFIX}API_KEY: every user of this host can read a command line."
        )
    try:
        return CliApp.run(kind, cli_args=arguments)
    except ValidationError as error:
        problems = (
            f"--{str(problem['loc'][0]).replace('_', '-')}: {problem['msg']}, not {problem['input']!r}"
            for problem in error.errors()
        )
        raise SettingsError("; ".join(problems)) from error
