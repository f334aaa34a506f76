"""The door to the shop's price books: what its routes answer, and what it refuses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from pipelines.settings import Settings
from pipelines.source import tls

TIMEOUT_S = 60.0
PAGE = 1000


class PricesRefused(RuntimeError):
    """The shop will not do that; its words say why."""


@dataclass(frozen=True)
class PriceDesk:
    """The shop at `url`, asked under a token. Every step may be taken again."""

    url: str
    token: str

    @classmethod
    def of(cls, settings: Settings, token: str | None = None) -> "PriceDesk":
        """Under the service token, or somebody's own."""
        return cls(settings.core_url.rstrip("/"), token or settings.service_token.get_secret_value())

    def get(self, path: str, **query: Any) -> Any:
        """What is there."""
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Any = None) -> Any:
        """What came of it."""
        return self._ask("POST", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        """How it is now."""
        return self._ask("PUT", path, json=body)

    def step(self, book_id: int, step: str, body: Any = None) -> Any:
        """The book after a step."""
        return self.post(f"/price-books/{book_id}/{step}", body)

    def lines(self, book_id: int) -> Iterator[dict[str, Any]]:
        """All lines of a book."""
        after = None
        while True:
            page = self.get(f"/price-books/{book_id}/lines", after=after, limit=PAGE)
            yield from page["items"]
            after = page["next_after"]
            if after is None:
                return

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.request(method, self.url + path, headers=headers, timeout=TIMEOUT_S, verify=tls(), **more)
        if answer.is_success:
            return answer.json()
        try:
            said = answer.json()["error"]
            raise PricesRefused(f"{said['code']}: {said['message']}")
        except (ValueError, KeyError, TypeError):
            raise PricesRefused(f"{path}: the shop answered {answer.status_code}, {answer.text[:200]}") from None
