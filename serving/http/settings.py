"""Everything that can be set about the server, in one object: environment variables and flags."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, CliApp, CliSuppress, SettingsConfigDict

from serving.core.errors import SettingsException
from serving.core.pipeline import DEFAULT_MAX_PIXELS
from serving.core.runtime import Device

_PREFIX = "INPAINT_"


class Settings(BaseSettings):
    """Serve the inpainting model over HTTP.

    Every flag is also an environment variable: --max-pixels is INPAINT_MAX_PIXELS. The API key is one only.
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
    model: Path = Path("models/inpaint.onnx")
    """the ONNX model file"""
    page: Path = Path("clients/web/build")
    """folder of the built web page, served at /; without one, / leads to /docs"""
    allow_origin: str | None = None
    """another origin whose pages may use this server, such as https://photos.example; * for any"""
    device: Device = "cpu"
    """where the model runs; without a GPU, cuda and tensorrt fall back to the CPU with a warning"""
    require_gpu: bool = False
    """refuse to start where no GPU runs the model"""
    threads: int = Field(0, ge=0, le=256)
    """CPU threads per prediction; 0 shares the cores out among `concurrency`"""
    concurrency: int = Field(1, ge=1, le=64)
    """predictions that run at the same time"""
    queue_size: int = Field(16, ge=0, le=10_000)
    """predictions that may wait for their turn; the next one is answered 503 at once"""
    max_body_bytes: int = Field(64 * 2**20, ge=1024)
    """bytes that a request's body may have"""
    max_pixels: int = Field(DEFAULT_MAX_PIXELS, ge=1024)
    """pixels that a picture may have"""
    api_key: CliSuppress[SecretStr | None] = None
    """the key that predictions must carry as `Authorization: Bearer KEY`; none by default"""
    graceful_seconds: int = Field(30, ge=0, le=3600)
    """how long a stop waits for the requests in flight"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """the least severe messages that are logged"""

    @property
    def threads_per_run(self) -> int:
        """CPU threads that one prediction gets."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) // self.concurrency)


def load_settings(arguments: list[str]) -> Settings:
    """Read the settings from flags first, then the environment.

    Raises:
        SettingsException: a value is out of its range, or the API key is among the flags.
        SystemExit: help was asked for, or there is no such flag.
    """
    if any(argument.startswith("--api") for argument in arguments):
        raise SettingsException(
            f"Set the API key in the environment, {_PREFIX}API_KEY: every user can read a command line."
        )
    try:
        return CliApp.run(Settings, cli_args=arguments)
    except ValidationError as error:
        problems = (
            f"--{str(problem['loc'][0]).replace('_', '-')}: {problem['msg']}, not {problem['input']!r}"
            for problem in error.errors()
        )
        raise SettingsException("; ".join(problems)) from error
