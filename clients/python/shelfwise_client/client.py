"""Shelfwise for a shop's pages: an answer in time, or the shop's own list, which says that it is that.

    shelfwise = Shelfwise("http://serving:8000")
    answer = shelfwise.recommendations(user_id, fallback=bestsellers, k=8, consent=visitor.consents)
    show(answer.body["items"])
    if answer.missing: log(answer.missing)

What is missing names the question and the status, and no shopper. httpx logs every address at level INFO, ids of
shoppers with them: keep its logger at WARNING. Only a shop's backend asks serving (docs/ARCHITECTURE.md): it takes the
shopper's id from its own session, never from the page.

For threads, which may share one; in an event loop call it by asyncio.to_thread.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar, Unpack
from urllib.parse import quote

import httpx

from shelfwise_client import fallback as instead
from shelfwise_client.models import (
    BoughtTogetherParametersQuery,
    HomeBody,
    Items,
    Offers,
    Page,
    PopularParametersQuery,
    PriceAnswer,
    Prices,
    Quote,
    QuoteBody,
    Recommendations,
    RecommendationsParametersQuery,
    SessionRecommendationsParametersQuery,
    SimilarParametersQuery,
    TrendingParametersQuery,
)

TIMEOUT_S = 0.2
AT_ONCE = 32  # questions of one client; more find no place in time and fall back

Body = TypeVar("Body")
Missing = httpx.HTTPError | TimeoutError | ValueError  # no answer, none in time, or none that is JSON


@dataclass(frozen=True, slots=True)
class Answer(Generic[Body]):
    """What to show; `missing` says why it is the caller's fallback, and is None when serving answered."""

    body: Body
    missing: Missing | None = None


class Shelfwise:
    """Serving at `url`. Whatever happens, an answer comes within `timeout_s`; with `raises` errors come instead."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        raises: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout_s, transport=transport)
        self._timeout_s = timeout_s
        self._raises = raises
        # httpx times each read, not the whole; a thread that is waited for no longer ends at its next read.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="shelfwise")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let connections and threads go."""
        self._http.close()
        self._threads.shutdown(cancel_futures=True)

    def recommendations(
        self, user_id: str, fallback: Sequence[str] = (), **query: Unpack[RecommendationsParametersQuery]
    ) -> Answer[Recommendations]:
        """A shelf for this shopper."""
        path = f"/users/{_part(user_id)}/recommendations"
        return self._get("recommendations", path, query, lambda: _shelf(fallback, query))

    def session_recommendations(
        self, session_id: str, fallback: Sequence[str] = (), **query: Unpack[SessionRecommendationsParametersQuery]
    ) -> Answer[Recommendations]:
        """A shelf for somebody unknown."""
        path = f"/sessions/{_part(session_id)}/recommendations"
        return self._get("session_recommendations", path, query, lambda: _shelf(fallback, query))

    def home(self, body: HomeBody, fallback: Sequence[str] = ()) -> Answer[Page]:
        """Several shelves; the fallback is dealt out to them from the top, each product once."""
        return self._ask("home", "POST", "/pages/home", {"json": body}, lambda: instead.page(fallback, body))

    def similar(
        self, product_id: str, fallback: Sequence[str] = (), **query: Unpack[SimilarParametersQuery]
    ) -> Answer[Items]:
        """Products like this one."""
        path = f"/products/{_part(product_id)}/similar"
        return self._get("similar", path, query, lambda: instead.items(fallback, query.get("k", instead.K)))

    def bought_together(
        self, product_id: str, fallback: Sequence[str] = (), **query: Unpack[BoughtTogetherParametersQuery]
    ) -> Answer[Items]:
        """What is bought in one order with this product."""
        path = f"/products/{_part(product_id)}/bought-together"
        return self._get("bought_together", path, query, lambda: instead.items(fallback, query.get("k", instead.K)))

    def popular(self, fallback: Sequence[str] = (), **query: Unpack[PopularParametersQuery]) -> Answer[Items]:
        """What is bought most."""
        return self._get("popular", "/popular", query, lambda: instead.items(fallback, query.get("k", instead.K)))

    def trending(self, fallback: Sequence[str] = (), **query: Unpack[TrendingParametersQuery]) -> Answer[Items]:
        """What is bought more than usual."""
        return self._get("trending", "/trending", query, lambda: instead.items(fallback, query.get("k", instead.K)))

    def offers(self, user_id: str) -> Answer[Offers]:
        """The shopper's own coupons, with what is to be said beside each; the fallback has none."""
        return self._get("offers", f"/users/{_part(user_id)}/offers", {}, instead.offers)

    def price(self, product_id: str) -> Answer[PriceAnswer]:
        """What to charge for one unit; the fallback has no price: charge the catalogue's."""
        path = f"/products/{_part(product_id)}/price"
        return self._get("price", path, {}, lambda: instead.price(product_id))

    def prices(self, product_ids: Sequence[str]) -> Answer[Prices]:
        """What to charge for each of up to 200 products; likewise."""
        body = {"product_ids": list(product_ids)}
        return self._ask("prices", "POST", "/prices", {"json": body}, lambda: instead.prices(product_ids))

    def quote(self, body: QuoteBody) -> Answer[Quote | None]:
        """Prices that checkout honours; nothing stands in for a promise: without one it charges the shop's prices.

        Ask again under the same idempotency_key: a quote that came too late is answered then.
        """
        return self._ask("quote", "POST", "/quotes", {"json": body}, lambda: None)

    def _get(self, name: str, path: str, query: Mapping[str, Any], fallback: Callable[[], Body]) -> Answer[Body]:
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask(name, "GET", path, {"params": given}, fallback)

    def _ask(
        self, name: str, method: str, path: str, given: Mapping[str, Any], fallback: Callable[[], Body]
    ) -> Answer[Body]:
        def ask() -> Body:
            answer = self._http.request(method, path, **given)
            if answer.is_success:
                body: Body = answer.json()
                return body
            said = f"{name}: serving answered {answer.status_code}"  # and not from which address, as httpx would say
            raise httpx.HTTPStatusError(said, request=answer.request, response=answer)

        asked = self._threads.submit(ask)
        try:
            return Answer(asked.result(self._timeout_s))
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            asked.cancel()
            if self._raises:
                raise
            return Answer(fallback(), error)


def _part(name: str) -> str:
    return quote(name, safe="")


def _shelf(fallback: Sequence[str], query: Mapping[str, Any]) -> Recommendations:
    return instead.recommendations(fallback, query.get("slot", "for_you"), query.get("k", instead.K))
