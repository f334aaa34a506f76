"""A route that FastAPI documents and plain ASGI runs: half of FastAPI's cost per request is machinery we do not use."""

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from inspect import signature
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
QUERIES_REMEMBERED = 4_096  # a shop asks with few different query strings


class BodyTooLong(ValueError):
    """A request body past MAX_BODY_BYTES."""


class DirectRoute(APIRoute):
    """Calls the endpoint with its path texts, its validated `query` and its validated `body`; it returns JSON bytes.

    Nothing else of FastAPI's is offered on these routes: no dependencies, no response validation, no headers.
    """

    def __init__(self, path: str, endpoint: Callable[..., Awaitable[bytes]], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        models = {name: _model(hint) for name, hint in get_type_hints(endpoint, include_extras=True).items()}
        assert set(signature(endpoint).parameters) <= {*self.param_convertors, "query", "body"}, endpoint
        self._call = endpoint
        self._query = partial(_validated_query, models["query"]) if models.get("query") else None
        self._body = models.get("body")
        self.app = self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        arguments = dict(scope["path_params"])
        if self._query is not None:
            arguments["query"] = self._query(scope["query_string"])
        if self._body is not None:
            arguments["body"] = self._body.model_validate_json(await _read(receive))
        answer = await self._call(**arguments)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@lru_cache(maxsize=QUERIES_REMEMBERED)
def _validated_query(model: type[BaseModel], text: bytes) -> BaseModel:
    return model.model_validate(dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)))


def _model(hint: Any) -> type[BaseModel] | None:
    """The pydantic model of a parameter declared as it or as Annotated[it, …]."""
    inner = get_args(hint)[0] if get_origin(hint) is not None and get_args(hint) else hint
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLong
        if not message.get("more_body", False):
            return body
