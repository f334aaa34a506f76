"""What one can ask serving: shelves for the shop, health and metrics for whoever runs it. Prices: price_routes.py."""

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from contracts import keys
from serving import answers, pages, shelves
from serving.direct import DirectRoute
from serving.exposures import Exposures, Question
from serving.failures import failure
from serving.generation import Generation
from serving.metrics import Metrics
from serving.pages import Visitor
from serving.policies import Choice, Policies
from serving.reads import Reads
from serving.schemas import (
    BesideQuery,
    Failure,
    HomeBody,
    Items,
    Page,
    Recommendations,
    RecommendationsQuery,
    ScopeQuery,
    SessionQuery,
)
from serving.shelves import Place, Shelf
from serving.stages import Lap
from serving.watcher import Watcher
from serving.whole import wholly

Encode = Callable[[Generation | None, Sequence[Shelf | None]], bytes]


def questions(
    policies: Policies,
    reads: Reads,
    metrics: Metrics,
    exposures: Exposures,
    rank_deadline_s: float,
) -> APIRouter:
    """The shop's questions. Each takes a generation once, that of its policy, and answers from that one throughout."""
    router = APIRouter(route_class=DirectRoute)
    whole = wholly(reads, metrics)

    async def shelves_of(question: Question, wanted: Sequence[tuple[str, int]], encode: Encode) -> bytes:
        choice, lap = policies.choose(question.request_id, question.visitor), metrics.laps(question.started)
        generation = choice.generation
        made: Sequence[Shelf | None] = [None] * len(wanted)
        if generation is not None:
            until = question.started + rank_deadline_s
            made = await whole(
                lambda reads: pages.page(generation, reads, question.visitor, wanted, until, lap, policies.try_arrivals)
            )
        return shown(question, choice, [slot for slot, _ in wanted], made, encode, lap)

    def shown(
        question: Question,
        choice: Choice,
        slots: Sequence[str],
        made: Sequence[Shelf | None],
        encode: Encode,
        lap: Lap,
    ) -> bytes:
        """The answer: the shelves in the order of the request's policy, counted and logged."""
        tried = policies.shelves(question.request_id, choice, slots, made)
        exposures.shown(question, choice, slots, tried)
        lap("log")
        answer = encode(choice.generation, tried)
        lap("encode")
        for shelf in tried:
            metrics.shelf(question.route, shelf, question.started)
        return answer

    async def shelf_of(question: Question, query: SessionQuery) -> bytes:
        def encode(generation: Generation | None, shelves: Sequence[Shelf | None]) -> bytes:
            return answers.recommendations(question.request_id, generation, shelves[0], query.slot)

        return await shelves_of(question, [(query.slot, query.k)], encode)

    @router.get("/users/{user_id}/recommendations", response_model=Recommendations, tags=["shelves"])
    async def recommendations(user_id: str, query: Annotated[RecommendationsQuery, Query()]) -> bytes:
        """A shelf for this shopper, after what they did in the last minutes; strangers get what is popular."""
        visitor = Visitor(keys.one_spelling(user_id), query.session_id, query.channel, query.category, query.age)
        question = Question("recommendations", visitor, query.consent)
        return await shelf_of(question, query)

    @router.get("/sessions/{session_id}/recommendations", response_model=Recommendations, tags=["shelves"])
    async def session_recommendations(session_id: str, query: Annotated[SessionQuery, Query()]) -> bytes:
        """A shelf for somebody unknown, after what they did in the last minutes."""
        visitor = Visitor(None, session_id, query.channel, query.category, query.age)
        question = Question("session_recommendations", visitor, query.consent)
        return await shelf_of(question, query)

    @router.post("/pages/home", response_model=Page, tags=["shelves"])
    async def home(body: HomeBody) -> bytes:
        """Several shelves at once, on which no product stands twice."""
        where = body.channel, body.category
        visitor = Visitor(body.user_id, body.session_id, *where, body.age, body.product_id, body.cart_product_ids)
        question = Question("home", visitor, body.consent)
        wanted = [(shelf.slot, shelf.k) for shelf in body.shelves]

        def encode(generation: Generation | None, shelves: Sequence[Shelf | None]) -> bytes:
            return answers.page(question.request_id, generation, shelves, [slot for slot, _ in wanted])

        return await shelves_of(question, wanted, encode)

    def listed(question: Question) -> Encode:
        return lambda generation, shelves: answers.items(question.request_id, generation, shelves[0])

    async def of_product(slot: str, product_id: str, query: BesideQuery) -> bytes:
        question, shelf = Question(slot), None
        choice, lap = policies.choose(question.request_id, question.visitor), metrics.laps(question.started)
        if (generation := choice.generation) is not None:
            k, age = query.k, query.age
            shelf = await whole(lambda reads: shelves.of_product(generation, reads, slot, product_id, k, age, lap))
        return shown(question, choice, [slot], [shelf], listed(question), lap)

    @router.get("/products/{product_id}/similar", response_model=Items, tags=["shelves"])
    async def similar(product_id: str, query: Annotated[BesideQuery, Query()]) -> bytes:
        """Products like this one; what is popular in its category when there are none."""
        return await of_product("similar", product_id, query)

    @router.get("/products/{product_id}/bought-together", response_model=Items, tags=["shelves"])
    async def bought_together(product_id: str, query: Annotated[BesideQuery, Query()]) -> bytes:
        """What is bought in one order with this product; when too few orders say anything, products like it."""
        return await of_product("bought_together", product_id, query)

    def of_place(slot: str, query: ScopeQuery) -> bytes:
        question, shelf = Question(slot), None
        choice, lap = policies.choose(question.request_id, question.visitor), metrics.laps(question.started)
        if (generation := choice.generation) is not None:
            place = Place(slot, query.channel, query.category)
            shelf = shelves.of_place(generation, place, query.k, query.age, degraded=not reads.available)
            lap("shelves")
        return shown(question, choice, [slot], [shelf], listed(question), lap)

    @router.get("/popular", response_model=Items, tags=["shelves"])
    async def popular(query: Annotated[ScopeQuery, Query()]) -> bytes:
        """What is bought most, in a category, a channel or the whole shop."""
        return of_place("popular", query)

    @router.get("/trending", response_model=Items, tags=["shelves"])
    async def trending(query: Annotated[ScopeQuery, Query()]) -> bytes:
        """What is bought more than usual there; what is popular when nothing is."""
        return of_place("trending", query)

    return router


def operations(watcher: Watcher, metrics: Metrics) -> APIRouter:
    """The operator's questions."""
    router = APIRouter(tags=["operations"])

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process runs."""
        return {"status": "ok"}

    @router.get("/ready", responses={503: {"model": Failure, "description": "No generation was loaded yet"}})
    async def ready() -> Response:
        """Requests may be sent here: a generation was loaded, and outlives an outage of Redis."""
        if watcher.generation is None:
            return failure(503, "not_ready", "no generation was loaded yet: publish one, or wait for Redis")
        return Response(answers.state(watcher.generation, watcher.held.book_version), media_type="application/json")

    @router.get("/metrics")
    async def scrape() -> Response:
        """Counters and latencies for Prometheus, of all workers."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
