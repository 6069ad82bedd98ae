"""The OpenAPI description, completed by what FastAPI cannot see: bodies that the routes read themselves."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serving.routes.oip_schemas import InferRequest
from serving.routes.schemas import REF, FormRequest, JsonRequest


def complete_openapi(app: FastAPI) -> None:
    """Make the app describe its request bodies, too."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        description = generate()
        _, bodies = models_json_schema(
            [(model, "validation") for model in (JsonRequest, FormRequest, InferRequest)], ref_template=REF
        )
        description["components"]["schemas"].update(bodies["$defs"])
        return description

    app.openapi = openapi  # type: ignore[method-assign]
