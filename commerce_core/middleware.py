"""Around every request: its id, its log line, its limits of time and size, and the last net under failures."""

import asyncio
import re
import time
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commerce_core.errors import ShopError, error_answer

MAX_BODY_BYTES = 1 << 20
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestMiddleware:
    """Bounds and logs a request. The time limit is for the answer's beginning; a stream has its own."""

    def __init__(self, app: ASGIApp, *, timeout_s: float) -> None:
        self.app = app
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        offered = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = offered.decode() if _REQUEST_ID.fullmatch(offered) else str(uuid4())
        structlog.contextvars.bind_contextvars(request_id=request_id)
        began, status = time.perf_counter(), 0
        timeout = asyncio.timeout(self.timeout_s)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        async def send_in_time(message: Message) -> None:
            if timeout.expired():
                raise asyncio.CancelledError  # whoever caught the first one (drivers do) answers too late
            timeout.reschedule(None)
            await send_with_id(message)

        try:
            async with timeout:
                await self.app(scope, _limited(receive), send_in_time)
        except TimeoutError:
            if status:
                raise
            answer = error_answer(
                504, "too_slow", f"no answer within {self.timeout_s:g} s; ask for less, or again later"
            )
            await answer(scope, receive, send_with_id)
        except Exception:
            structlog.get_logger().exception("request_failed")
            if status:
                raise  # the answer has begun: only breaking the connection tells the caller
            answer = error_answer(500, "internal_error", f"the shop failed; its log says why under {request_id}")
            await answer(scope, receive, send_with_id)
        finally:
            _log(scope, status, time.perf_counter() - began)
            structlog.contextvars.unbind_contextvars("request_id")


def _limited(receive: Receive) -> Receive:
    """`receive`, refusing a body that grows past the limit however it was announced."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise ShopError(413, "body_too_large", f"a body may hold {MAX_BODY_BYTES:,} bytes; send smaller batches")
        return message

    return limited


def _log(scope: Scope, status: int, seconds: float) -> None:
    # The route's template, never the path or the query: ids and search words are the shopper's business.
    route = getattr(scope.get("route"), "path", None)
    structlog.get_logger().info(
        "request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1)
    )
