"""Serving stays light, and ends when it is asked to."""

import asyncio
import subprocess
import sys

import httpx

from benchmarks.synthetic import user_id
from serving import offer_routes
from serving.app import create_app
from serving.settings import Settings
from tests.serving.conftest import SECRET

HEAVY = (
    "pandas",
    "pyarrow",
    "pyspark",
    "mlflow",
    "sqlalchemy",
    "deltalake",
    "duckdb",
    "sklearn",
    "scipy",
    "airflow",
)


def test_nothing_heavy_is_loaded():
    code = (
        "import sys; from serving.app import create_app; from serving.settings import Settings; "
        "create_app(Settings(redis_url='redis://127.0.0.1:1/0', exposures_secret='x' * 16)); "
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_what_breaks_is_logged_without_the_shopper(caplog, monkeypatch):
    async def broken(*_):
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(offer_routes, "own", broken)
    app = create_app(Settings(redis_url="redis://127.0.0.1:1/0", exposures_secret=SECRET))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://serving") as http:
        answer = await http.get(f"/users/{user_id(3)}/offers")
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    [record] = [record for record in caplog.records if record.name == "serving.failures"]
    assert record.getMessage() == "GET /users/{user_id}/offers failed"


async def test_it_ends_at_whatever_moment_it_is_asked_to(redis_url):
    """The Redis client takes being cancelled while it connects or reads for an error of its own."""

    async def live_for(seconds):
        app = create_app(Settings(redis_url=redis_url, exposures_secret=SECRET))
        async with app.router.lifespan_context(app):
            await asyncio.sleep(seconds)

    for moment in range(60):
        task = asyncio.create_task(live_for(moment / 5_000))
        ended, _ = await asyncio.wait({task}, timeout=5)
        assert ended, "hangs"  # wait_for would cancel it once more, and so hide that
        await task
