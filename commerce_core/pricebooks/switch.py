"""The switch that stops new prices: while they are stopped no book is proposed or published. What was published can be
taken back, and a merchandiser's own edit of a product holds as ever."""

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.pricebooks import states
from commerce_core.pricebooks.models import PriceSwitch
from commerce_core.pricebooks.schemas import Switch, SwitchBody


async def found(session: AsyncSession) -> Switch:
    """How it stands, since when, by whom and why."""
    query = select(*(getattr(PriceSwitch, name) for name in Switch.model_fields))
    row = (await session.execute(query.order_by(PriceSwitch.turn.desc()).limit(1))).mappings().one_or_none()
    return Switch.model_validate(dict(row)) if row else Switch(stopped=False, at=None, reason=None, actor=None)


async def turn(session: AsyncSession, body: SwitchBody, *, actor: str) -> tuple[Switch, Switch]:
    """How it stood, and how it stands now; who finds it as it is to be leaves it. A publication that has begun ends
    first: once this is committed nothing more is published."""
    await states.alone(session)
    before = await found(session)
    if before.stopped != body.stopped:
        await session.execute(insert(PriceSwitch).values(**body.model_dump(), actor=actor))
    return before, await found(session)


async def check(session: AsyncSession) -> None:
    """ShopError 409 `price_changes_stopped` while they are."""
    now = await found(session)
    if now.stopped:
        message = f"price changes are stopped since {now.at:%Y-%m-%d %H:%M:%S} UTC by {now.actor}: {now.reason}"
        raise ShopError(409, "price_changes_stopped", message, [now.model_dump(mode="json", exclude={"stopped"})])
