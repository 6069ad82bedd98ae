"""Complete the OpenAPI description with what FastAPI cannot infer: bodies that routes read themselves, and errors."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serving.http.routes.inference_protocol_schemas import InferRequest
from serving.http.routes.schemas import REF, FormRequest, JsonRequest, MarksFormRequest, MarksJsonRequest

BODIES = JsonRequest, FormRequest, MarksJsonRequest, MarksFormRequest, InferRequest
"""The bodies that routes read themselves."""


def complete_openapi(app: FastAPI) -> None:
    """Add the request bodies to the description, and remove FastAPI's 422, which this application answers as 400."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        description = generate()
        _, bodies = models_json_schema([(model, "validation") for model in BODIES], ref_template=REF)
        description["components"]["schemas"].update(bodies["$defs"])
        for path in description["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        return description

    app.openapi = openapi  # type: ignore[method-assign]
