"""The HTTP interface of a trained model: typed requests, replies, health, and an OpenAPI description of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ValidationError, create_model
from pydantic.json_schema import models_json_schema
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hydrantic.errors import HydranticError
from hydrantic.serving.batching import Batcher
from hydrantic.serving.rows import Rows, too_large

MOST_PROBLEMS: Final = 20
"""How many problems of a request are told."""
MOST_SHOWN: Final = 20_000
"""Length of the longest example that is shown."""
JSON: Final = "application/json"

Problem = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """What is served."""

    about: Mapping[str, Any]
    """The model's name, task and names, for people."""
    rows: Rows
    reply: type[BaseModel]
    """What is replied to each row."""
    batcher: Batcher
    most_bytes: int
    """Size of the largest body of a request."""


def create_app(service: Service, hosts: Sequence[str] = ("*",)) -> Starlette:
    """The application that answers.

    Arguments:
        service: what is served.
        hosts: the names under which requests may come. On one's own machine these are its own, so that no web page
            can read the answers by giving that machine another name.
    """
    endpoints = _Endpoints(service)
    return Starlette(
        routes=[
            Route("/", endpoints.about),
            Route("/health", endpoints.health),
            Route("/openapi.json", endpoints.description),
            Route("/predict", endpoints.predict, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
    )


class _Endpoints:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._description = describe(service)
        self._example = {"rows": [service.rows.example]}

    async def about(self, request: Request) -> Response:
        example = self._example if len(str(self._example)) < MOST_SHOWN else "see the description"
        paths = {"predict": "/predict", "health": "/health", "description": "/openapi.json"}
        return JSONResponse({**self._service.about, "paths": paths, "request": example})

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def description(self, request: Request) -> Response:
        return JSONResponse(self._description)

    async def predict(self, request: Request) -> Response:
        service = self._service
        body = await _body(request, service.most_bytes)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return _problems([{"loc": ["header", "content-type"], "msg": f"must be {JSON}", "type": "content_type"}])
        try:
            rows = service.rows.request.model_validate_json(body).rows  # type: ignore[attr-defined]  # every request has
        except ValidationError as error:
            return _problems(_plain(error))
        try:
            inputs = service.rows.encode(rows)
        except HydranticError as error:
            return _problems([{"loc": ["rows"], "msg": str(error), "type": "value"}])
        if (row := too_large(inputs)) is not None:
            return _problems([{"loc": ["rows", row], "msg": "has a number that is too large", "type": "value"}])
        return JSONResponse({**service.about, "predictions": await service.batcher.ask(inputs)})


async def _body(request: Request, most: int) -> bytes:
    """The body, all of which is read, so that the client gets to read the answer; what is too large is not kept."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
    if size > most:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {most:,} bytes")
    return b"".join(parts)


def _plain(error: ValidationError) -> list[Problem]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told: list[Problem] = [dict(each) for each in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        told.append({"loc": [], "msg": f"and {len(found) - MOST_PROBLEMS} more", "type": "more"})
    return told


def _problems(found: Sequence[Problem]) -> Response:
    return JSONResponse({"detail": list(found)}, HTTPStatus.UNPROCESSABLE_ENTITY)


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # it is registered for these
    return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)


async def _fail(_request: Request, error: Exception) -> Response:
    message = f"the model failed: {type(error).__name__}"  # the rest is for the log, not for strangers
    return JSONResponse({"detail": message}, HTTPStatus.INTERNAL_SERVER_ERROR)


class ProblemReply(BaseModel):
    """What is wrong with a request, and where."""

    loc: list[str | int]
    """Keys and indices that lead there."""
    msg: str
    """What is wrong."""
    type: str
    """A short name of that."""


class ProblemsReply(BaseModel):
    """All that is wrong with a request."""

    detail: list[ProblemReply]


def describe(service: Service) -> dict[str, Any]:
    """The OpenAPI description of what a service answers to."""
    named = {name: (Any, value) for name, value in service.about.items()}
    response = create_model("Response", predictions=(list[service.reply], ...), **named)  # type: ignore[call-overload,name-defined]  # names of its own
    request = service.rows.request
    models = [(each, "validation") for each in (request, response, ProblemsReply)]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]  # a literal
    ok, wrong = _content("The predictions", "Response"), _content("What is wrong with the request", "ProblemsReply")
    body = {"required": True, "content": {JSON: {"schema": _reference("Request")}}}
    up = {"get": {"summary": "Whether the server is there", "responses": {"200": {"description": "It is"}}}}
    asked = {"summary": "Predict some rows", "requestBody": body, "responses": {"200": ok, "422": wrong}}
    return {
        "openapi": "3.1.0",
        "info": {"title": service.about["model"], "version": "1"},
        "paths": {"/predict": {"post": asked}, "/health": up},
        "components": {"schemas": schemas["$defs"]},
    }


def _reference(model: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model}"}


def _content(meaning: str, model: str) -> dict[str, Any]:
    return {"description": meaning, "content": {JSON: {"schema": _reference(model)}}}
