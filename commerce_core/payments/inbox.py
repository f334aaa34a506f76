"""What providers tell by webhook: kept before it is answered, handled once, tried again when it could not be.

A message is unique by its source and its own id. It is handled under a lock on its row, so of many deliveries at once
one has an effect; what comes before its payment is known waits; what can never be handled is kept as `dead`.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.payments import service
from commerce_core.payments.models import Payment, WebhookMessage
from commerce_core.payments.providers import Notice, Outcome

MOST_ATTEMPTS = 12  # over about an hour and a half: after that a payment we do not know is not ours
FIRST_RETRY = timedelta(seconds=1)
PUT_OFF = timedelta(minutes=1)

Key = tuple[str, str]


async def keep(session: AsyncSession, source: str, notice: Notice) -> Key:
    """Remember what was told; telling it again changes nothing."""
    said = notice.outcome
    payload = {"payment_id": str(notice.payment_id), "status": said.status, "amount_minor": said.amount_minor}
    payload |= {"currency": said.currency, "reference": said.reference, "failure": said.failure}
    message = insert_unless(WebhookMessage).values(source=source, external_id=notice.external_id, payload=payload)
    await session.execute(message.on_conflict_do_nothing())
    return source, notice.external_id


async def handle(session: AsyncSession, key: Key) -> bool:
    """Do what the message says, unless it was done; whether that is over with."""
    message = await _locked(session, key)
    if message is None:
        return True
    said = message.payload
    payment_id = UUID(said["payment_id"])
    known = select(Payment.payment_id).where(Payment.payment_id == payment_id, Payment.provider == message.source)
    if (await session.execute(known)).one_or_none() is None:
        return await _again(session, message)
    facts = (said["status"], said["amount_minor"], said["currency"], said["reference"], said["failure"])
    await service.settle(session, payment_id, Outcome(*facts))
    await _write(session, key, handled_at=func.clock_timestamp(), outcome="handled")
    return True


async def waiting(session: AsyncSession, *, most: int) -> list[Key]:
    """Messages whose time has come."""
    query = select(WebhookMessage.source, WebhookMessage.external_id).where(WebhookMessage.handled_at.is_(None))
    due = query.where(WebhookMessage.next_at <= func.clock_timestamp()).order_by(WebhookMessage.next_at).limit(most)
    return [(row.source, row.external_id) for row in (await session.execute(due)).all()]


async def put_off(session: AsyncSession, key: Key) -> None:
    """Something is wrong with it, or with us: it is tried again, and does not stand before others until then."""
    await _write(session, key, next_at=func.clock_timestamp() + PUT_OFF)


async def _locked(session: AsyncSession, key: Key) -> WebhookMessage | None:
    """The message, for this transaction alone; None when it was handled, or somebody else is at it."""
    source, external_id = key
    mine = (WebhookMessage.source == source) & (WebhookMessage.external_id == external_id)
    query = select(WebhookMessage).where(mine, WebhookMessage.handled_at.is_(None))
    return (await session.scalars(query.with_for_update(skip_locked=True))).one_or_none()


async def _again(session: AsyncSession, message: WebhookMessage) -> bool:
    """It came before its payment was written, or is not ours: try later, at last give up."""
    key, attempts = (message.source, message.external_id), message.attempts + 1
    if attempts >= MOST_ATTEMPTS:
        await _write(session, key, handled_at=func.clock_timestamp(), outcome="dead", attempts=attempts)
        return True
    later = func.clock_timestamp() + FIRST_RETRY * 2 ** (attempts - 1)
    await _write(session, key, next_at=later, attempts=attempts)
    return False


async def _write(session: AsyncSession, key: Key, **values: object) -> None:
    source, external_id = key
    mine = (WebhookMessage.source == source) & (WebhookMessage.external_id == external_id)
    await session.execute(update(WebhookMessage).where(mine).values(**values))
