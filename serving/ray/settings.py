"""The settings of the server on Ray Serve."""

from typing import Literal

from pydantic import Field, PositiveInt
from pydantic_settings import SettingsConfigDict

from serving.http.settings import Settings


class RaySettings(Settings):
    """Serve the inpainting model with Ray Serve, on the same contract: each replica is a whole server.

    Every flag is also an environment variable: --max-pixels is INPAINT_MAX_PIXELS. The API key is read from the
    environment only. --concurrency, --queue-size and --max-total-body-bytes apply to each replica.
    """

    model_config = SettingsConfigDict(cli_prog_name="python -m serving.ray")

    port: int = Field(8080, ge=1, le=65535)
    """port to listen on"""
    replicas: Literal["auto"] | PositiveInt = "auto"
    """number of replicas; auto adds and removes them with the number of requests in flight"""
    threads: int = Field(1, ge=1, le=256)
    """CPU threads of each run of the model; a replica reserves that many cores for each of its `concurrency` runs"""
    concurrency: int = Field(1, ge=1, le=64)
    """runs of the model at the same time in each replica"""
