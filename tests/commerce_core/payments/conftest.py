"""Orders to pay; stand-ins of the payment providers, and the providers before them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from benchmarks import auditor
from commerce_core.payments.sweep import Sweeper
from tests.commerce_core.buyers import Buyer, stock_up
from tests.commerce_core.payments.cases import RazorpayCase, StripeCase
from tests.commerce_core.payments.door import Door
from tests.commerce_core.payments.fake_razorpay import FakeRazorpay
from tests.commerce_core.payments.stripe_stand_in import StripeStandIn, localstripe


@pytest.fixture(scope="session")
def localstripe_url(free_port, tmp_path_factory) -> Iterator[str]:
    with localstripe(free_port(), tmp_path_factory.mktemp("localstripe") / "log") as address:
        yield address


@asynccontextmanager
async def before_stripe(address: str) -> AsyncIterator[StripeCase]:
    stand_in = StripeStandIn(address)
    with stand_in.client, Door(stand_in.answer) as door:
        case = StripeCase(stand_in, door)
        yield case
        await case.provider.close()


@asynccontextmanager
async def before_razorpay() -> AsyncIterator[RazorpayCase]:
    stand_in = FakeRazorpay()
    with Door(stand_in.answer) as door:
        case = RazorpayCase(stand_in, door)
        yield case
        await case.provider.close()


@pytest.fixture
async def stripe_case(localstripe_url) -> AsyncIterator[StripeCase]:
    async with before_stripe(localstripe_url) as case:
        yield case


@pytest.fixture
async def razorpay_case() -> AsyncIterator[RazorpayCase]:
    async with before_razorpay() as case:
        yield case


@pytest.fixture(params=["stripe", "razorpay"])
async def case(request, localstripe_url) -> AsyncIterator[StripeCase | RazorpayCase]:
    """Each of them in turn."""
    async with before_stripe(localstripe_url) if request.param == "stripe" else before_razorpay() as case:
        yield case


@pytest.fixture
async def ann(shop):
    return Buyer(shop)


@pytest.fixture
async def ordered(ann, db):
    """A function: an order of Ann's over so many units at 5.00 each; its id and its product."""

    async def order(units=2):
        soap = await stock_up(db, 10)
        await ann.put(soap, units)
        answer = await ann.order(500 * units)
        assert answer.status_code == 201, answer.text
        return answer.json()["order_id"], soap

    return order


@pytest.fixture
async def clean(db):
    """Afterwards the auditor finds nothing wrong."""
    yield
    assert await auditor.faults(db) == {}


@pytest.fixture
def bank(app):
    """The sandbox as the bank has it."""
    return app.state.providers["sandbox"]


@pytest.fixture
def sweeper(app):
    """A sweeper that sweeps when it is told to."""
    return Sweeper(app.state.transactions, app.state.providers)
