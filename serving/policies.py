"""Who answers a request: the champion, or the challenger for visitors of its arm; and which requests try other orders.

Whoever has no name has no arm. While no challenger is published the champion answers its arm too, and the log says so:
`arm` is what the visitor was given, `policy` who answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contracts.keys import PINNED, Ranked
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
    explores: bool = False


class Policies:
    """One decision for each request."""

    def __init__(self, watcher: Watcher, params: PolicyParams) -> None:
        self._watcher = watcher
        self._params = params

    def choose(self, request_id: str, visitor: Visitor) -> Choice:
        """Who answers this visitor. Known shoppers keep their arm in every session."""
        explores = self._params.shuffle.chosen(request_id)
        experiment, champion, challenger = self._params.experiment, self._watcher.generation, self._watcher.challenger
        unit = visitor.user_id if visitor.user_id is not None else visitor.session_id
        if not experiment.name or unit is None:
            return Choice(champion, explores=explores)
        arm = experiment.arm(unit)
        if arm == "challenger" and challenger is not None:
            return Choice(challenger, "challenger", experiment.name, arm, explores)
        return Choice(champion, "champion", experiment.name, arm, explores)

    def shelves(
        self, request_id: str, choice: Choice, slots: Sequence[str], shelves: Sequence[Shelf | None]
    ) -> Sequence[Shelf | None]:
        """The shelves as they are shown, with the probability of that; what was viewed lately is never shuffled."""
        if self._params.shuffle.share == 0:
            return shelves
        return [
            shelf if shelf is None or slot == RECENTLY_VIEWED else self._shuffled(shelf, choice, request_id, str(place))
            for place, (slot, shelf) in enumerate(zip(slots, shelves, strict=True), 1)
        ]

    def _shuffled(self, shelf: Shelf, choice: Choice, *words: str) -> Shelf:
        """In the order that the words draw if the request is one that explores; what is pinned stays in its place."""
        shuffle, ranked = self._params.shuffle, shelf.ranked
        length = len(ranked.items)
        free = [at for at in range(shuffle.first - 1, length) if ranked.sources[at] != PINNED]
        order = shuffle.order(length, free, *words) if choice.explores else list(range(length))
        items, scores, sources, because = ranked
        shown = Ranked(
            [items[at] for at in order],
            [scores[at] for at in order],
            [sources[at] for at in order],
            [because[at] for at in order],
        )
        return replace(shelf, ranked=shown, propensities=shuffle.propensities(order, free))
