"""The one shape of every refusal: {"error": {"code", "message", "details"}}."""

from typing import Any

import adbc_driver_manager
import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

MAX_DETAILS = 100
UNSTORABLE = ("22021", "22P05")  # PostgreSQL's codes for a text, and for JSON, with a NUL


class Error(BaseModel):
    """What was refused, where, and what to do about it."""

    code: str = Field(description="stable word for programs", examples=["product_not_found"])
    message: str = Field(description="sentence for people: what is wrong, and what to do")
    details: list[dict[str, Any]] = Field(default=[], description="one entry per fault, where there are several")


class ErrorAnswer(BaseModel):
    """Body of every 4xx and 5xx answer."""

    error: Error


class ShopError(HTTPException):
    """A refusal that the caller is told of."""

    def __init__(
        self,
        status_code: int,
        code: str,
        message: str,
        details: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status_code, message, headers)
        self.code = code
        self.details = details or []


def refusals(*status_codes: int) -> dict[int | str, dict[str, Any]]:
    """What a route declares in OpenAPI for the refusals that it can give."""
    return {status_code: {"model": ErrorAnswer} for status_code in status_codes}


def error_answer(
    status_code: int, code: str, message: str, details: list[dict[str, Any]] | None = None, headers: Any = None
) -> JSONResponse:
    body = ErrorAnswer(error=Error(code=code, message=message, details=details or []))
    return JSONResponse(jsonable_encoder(body), status_code, headers)


def _place(loc: tuple[int | str, ...]) -> dict[str, Any]:
    """("body", "events", 3, "ts") as where=events[3].ts, index=3."""
    where = ""
    for part in loc[1:] if len(loc) > 1 else loc:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else part
    index = next((part for part in loc if isinstance(part, int)), None)
    return {"where": where} if index is None else {"index": index, "where": where}


async def _on_refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error, ShopError):
        return error_answer(error.status_code, error.code, error.detail, error.details, error.headers)
    if error.status_code == 400:  # FastAPI's, of a body that is not even text; as faulty as one that is no JSON
        return error_answer(
            422, "invalid_request", "the body cannot be read, nothing was done: JSON in UTF-8 is wanted"
        )
    codes = {404: "no_such_route", 405: "method_not_allowed"}
    return error_answer(
        error.status_code, codes.get(error.status_code, "bad_request"), str(error.detail), None, error.headers
    )


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    details = [{**_place(fault["loc"]), "reason": fault["msg"]} for fault in faults[:MAX_DETAILS]]
    message = (
        f"{len(faults)} fault(s) in the request, nothing was done; first: {details[0]['where']}: {details[0]['reason']}"
    )
    return error_answer(422, "invalid_request", message, details)


async def _on_database_trouble(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in UNSTORABLE:
        return error_answer(
            422, "invalid_request", "a text holds a character that cannot be kept (NUL), nothing was done"
        )
    about_connections = not isinstance(error, DBAPIError) or error.connection_invalidated
    if not about_connections and not isinstance(error, OperationalError | InterfaceError):
        raise error  # our own fault, not the database's
    structlog.get_logger().error("database_unreachable", error=type(error).__name__)
    return error_answer(503, "database_unavailable", "the database does not answer; nothing was done, try again soon")


def map_errors(app: FastAPI) -> None:
    """Give every refusal and failure of `app` the one shape."""
    app.add_exception_handler(HTTPException, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    # While connecting, drivers raise their own errors and the operating system's; later SQLAlchemy wraps them.
    for trouble in (DBAPIError, PoolTimeout, asyncpg.PostgresError, adbc_driver_manager.OperationalError, OSError):
        app.add_exception_handler(trouble, _on_database_trouble)
