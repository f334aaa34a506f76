"""What the shop asks of whoever moves money, whoever that is.

Each request carries an id of ours. A provider does at most once what has the same id, and answers the same again: so
whoever does not know what became of a request may send it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Charge:
    """Take `amount_minor` from `method`, the provider's name for a means of payment."""

    payment_id: UUID
    order_id: UUID
    method: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Return:
    """Give `amount_minor` of the payment with that reference back."""

    refund_id: UUID
    reference: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it. `pending`: the provider will tell; `failed`: nothing was moved, `failure` says why.

    `action` is what the shopper's browser needs to go on with a pending charge, in words that only the provider's own
    script reads. With it the charge can be completed: it is for the shopper alone, and neither kept nor logged.
    """

    status: Literal["succeeded", "failed", "pending"]
    amount_minor: int
    currency: str
    reference: str | None = None
    failure: str | None = None
    action: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook said: about which of our payments, with an id that is the same when it is sent again."""

    external_id: str
    payment_id: UUID
    outcome: Outcome


class Unreachable(Exception):
    """The provider did not answer, or not sensibly: whether it did what was asked is not known."""


class ForgedNotice(Exception):
    """The webhook's signature is wrong or too old."""


class Provider(Protocol):
    """A door to somebody who moves money."""

    name: str

    async def charge(self, charge: Charge) -> Outcome:
        """Take the money. Unreachable when that is not known."""
        ...

    async def action(self, reference: str) -> str | None:
        """The `action` of a pending charge with that reference, as it is now. Unreachable when that is not known."""
        ...

    async def give_back(self, back: Return) -> Outcome:
        """Return money. Unreachable when that is not known."""
        ...

    async def close(self) -> None:
        """End the connections."""
        ...

    def notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """What a webhook says; None: nothing that concerns us. ForgedNotice when it is not the provider's."""
        ...
