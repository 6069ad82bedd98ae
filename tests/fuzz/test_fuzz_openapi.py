"""Requests made from the server's own OpenAPI description are answered as it says."""

import schemathesis
from engines import MODEL
from hypothesis import given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.core.graph import MODEL_NAME
from serving.core.runtime import Runtime
from serving.http.app import create_app
from serving.http.settings import Settings

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_answers_match_the_description() -> None:
    app = create_app(Settings(page=MODEL.parent), Runtime(MODEL, threads=1))
    labels = set()
    for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        labels.add(operation.label)

        @given(case=operation.as_strategy())
        @settings(settings.get_profile("fuzz"))
        def check(case: schemathesis.Case) -> None:  # type: ignore[type-arg]
            case.path_parameters = dict.fromkeys(case.path_parameters, MODEL_NAME)
            case.validate_response(case.call(), checks=_CHECKS)

        check()
    assert {"POST /predictions/{model}", "POST /v2/models/{model}/infer", "GET /ping"} <= labels
