"""What a log line holds, and what it never does."""

import io
import json

import structlog
from sqlalchemy import text

from commerce_core import logs
from commerce_core.db import create_engine


async def test_a_failure_is_logged_without_what_the_request_said(shop_url):
    sink = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(sink), processors=logs.PROCESSORS)
    engine = create_engine(shop_url)

    async def login(password):
        async with engine.connect() as connection:
            await connection.execute(text("select 1 / length(:email) from nowhere"), {"email": password + "@x.y"})

    try:
        await login("hush hush")
    except Exception:
        log.exception("request_failed")
    await engine.dispose()
    line = json.loads(sink.getvalue())
    assert line["event"] == "request_failed"
    assert "nowhere" in line["exception"][0]["exc_value"]
    assert "login" in str(line["exception"])
    assert "hush" not in sink.getvalue()
