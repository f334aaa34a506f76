"""Who answers a request: the champion, or the challenger for visitors of its arm; which requests try something else.

Whoever has no name has no arm. While no challenger is published the champion answers its arm too, and the log says so:
`arm` is what the visitor was given, `policy` who answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contracts.keys import ARRIVAL, NOTHING, PINNED, Ranked
from models.policy import PolicyParams
from serving.generation import Generation
from serving.pages import RECENTLY_VIEWED, Visitor
from serving.shelves import Shelf
from serving.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Choice:
    """Which generation answers, under which policy, and why."""

    generation: Generation | None
    policy: str = "champion"
    experiment: str | None = None
    arm: str | None = None
    shuffles: bool = False
    tries: bool = False

    @property
    def explores(self) -> bool:
        """Is anything of it drawn?"""
        return self.shuffles or self.tries


class Policies:
    """One decision for each request."""

    def __init__(self, watcher: Watcher, params: PolicyParams) -> None:
        self._watcher = watcher
        self._params = params

    def choose(self, request_id: str, visitor: Visitor) -> Choice:
        """Who answers this visitor. Known shoppers keep their arm in every session."""
        shuffles, tries = self._params.shuffle.chosen(request_id), self._params.arrivals.chosen(request_id)
        experiment, champion, challenger = self._params.experiment, self._watcher.generation, self._watcher.challenger
        unit = visitor.user_id if visitor.user_id is not None else visitor.session_id
        if not experiment.name or unit is None:
            return Choice(champion, shuffles=shuffles, tries=tries)
        arm = experiment.arm(unit)
        if arm == "challenger" and challenger is not None:
            return Choice(challenger, "challenger", experiment.name, arm, shuffles, tries)
        return Choice(champion, "champion", experiment.name, arm, shuffles, tries)

    @property
    def try_arrivals(self) -> bool:
        """Does any request try new products?"""
        return self._params.arrivals.share > 0

    def shelves(
        self, request_id: str, choice: Choice, slots: Sequence[str], shelves: Sequence[Shelf | None]
    ) -> Sequence[Shelf | None]:
        """The shelves as they are shown, with the probability of that; what was viewed lately is never shuffled."""
        if self.try_arrivals:
            shelves = [shelf and self._trying(shelf, choice, request_id) for shelf in shelves]
        if self._params.shuffle.share == 0:
            return shelves
        return [
            shelf if shelf is None or slot == RECENTLY_VIEWED else self._shuffled(shelf, choice, request_id, str(place))
            for place, (slot, shelf) in enumerate(zip(slots, shelves, strict=True), 1)
        ]

    def _trying(self, shelf: Shelf, choice: Choice, request_id: str) -> Shelf:
        """With a new product in the place of another, if the shelf may show any and the request is one that tries."""
        arrivals, ranked = self._params.arrivals, shelf.ranked
        at = arrivals.place - 1
        if not shelf.arrivals or at >= len(ranked.items) or ranked.sources[at] == PINNED:
            return replace(shelf, arrivals=())
        propensities, own = [1.0] * len(ranked.items), list(range(len(ranked.items)))
        propensities[at] = arrivals.propensity(choice.tries, len(shelf.arrivals))
        if choice.tries:
            own[at] = NOTHING
            items, scores, sources, because = ranked
            tried = arrivals.drawn(request_id, shelf.arrivals)
            ranked = Ranked(_with(items, at, tried), scores, _with(sources, at, ARRIVAL), _with(because, at, NOTHING))
        return replace(shelf, ranked=ranked, propensities=propensities, own_places=own)

    def _shuffled(self, shelf: Shelf, choice: Choice, *words: str) -> Shelf:
        """In the order that the words draw if the request is one that does; what is pinned or tried stays."""
        shuffle, ranked = self._params.shuffle, shelf.ranked
        length = len(ranked.items)
        stays = [self._params.arrivals.place - 1] if shelf.arrivals else []
        places = (at for at in range(shuffle.first - 1, length) if at not in stays)
        free = [at for at in places if ranked.sources[at] != PINNED]
        order = shuffle.order(length, free, *words) if choice.shuffles else list(range(length))
        items, scores, sources, because = ranked
        shown = Ranked(
            [items[at] for at in order],
            [scores[at] for at in order],
            [sources[at] for at in order],
            [because[at] for at in order],
        )
        propensities = shuffle.propensities(order, free)
        if shelf.propensities:  # of what is tried, where nothing is shuffled
            propensities = [mine * before for mine, before in zip(propensities, shelf.propensities, strict=True)]
        own = [shelf.own_places[at] for at in order] if shelf.own_places else order
        return replace(shelf, ranked=shown, propensities=propensities, own_places=own)


def _with(values: Sequence[int], at: int, value: int) -> list[int]:
    return [*values[:at], value, *values[at + 1 :]]
