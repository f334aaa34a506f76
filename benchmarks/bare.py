"""The least that FastAPI can do: what `python -m benchmarks serve` measures serving against."""

from fastapi import FastAPI
from starlette.responses import Response

ANSWER = b'{"items":[' + b",".join([b'{"product_id":"00000000-0000-0000-0000-000000000000","score":0.5}'] * 10) + b"]}"


def app() -> FastAPI:
    """One handler without parameters, validation or look-ups."""
    application = FastAPI()

    @application.get("/bare")
    async def bare() -> Response:
        return Response(ANSWER, media_type="application/json")

    return application
