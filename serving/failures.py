"""Every refusal in one shape, schemas.Failure."""

import logging

import orjson
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serving.answers import request_id
from serving.direct import MAX_BODY_BYTES, BodyTooLong

log = logging.getLogger(__name__)


class Refused(Exception):
    """A question that cannot be answered, and why."""

    def __init__(self, status: int, error: str, message: str, faults: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.status, self.error, self.faults = status, error, faults


CODES = {404: "not_found", 405: "method_not_allowed", 503: "not_ready"}


def failure(status: int, error: str, message: str, faults: list[dict[str, str]] | None = None) -> Response:
    body = {"error": error, "message": message, "faults": faults or [], "request_id": request_id()}
    return Response(orjson.dumps(body), status, media_type="application/json")


def install(app: FastAPI) -> None:
    """Answer every exception of the app's routes in that shape."""
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(BodyTooLong, _too_long)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Refused, _cannot)
    app.add_exception_handler(Exception, _broken)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    faults = [
        {"field": ".".join(map(str, fault["loc"])), "reason": fault["msg"]}
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    message = "; ".join(
        f"{fault['field']}: {fault['reason']}" if fault["field"] else fault["reason"] for fault in faults
    )
    return failure(422, "invalid_request", message, faults)


async def _too_long(request: Request, error: Exception) -> Response:
    return failure(413, "body_too_long", f"a body may have {MAX_BODY_BYTES} bytes at most")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return failure(error.status_code, CODES.get(error.status_code, "refused"), str(error.detail))


async def _cannot(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return failure(error.status, error.error, str(error), error.faults)


async def _broken(request: Request, error: Exception) -> Response:
    # A path may name a shopper; its template does not.
    template = getattr(request.scope.get("route"), "path", "a path that is none of ours")
    log.error("%s %s failed", request.method, template, exc_info=error)
    return failure(500, "internal", "the request could not be answered")
