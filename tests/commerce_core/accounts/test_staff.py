"""Roles are given from a terminal, to whoever has an account."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from commerce_core.accounts import service, staff
from commerce_core.accounts.staff import NoSuchAccount


async def test_roles_are_given_and_taken(sessions, shop_url):
    email = f"{uuid4()}@example.com"
    async with sessions() as session:
        await service.add(session, email=email)

    async def change(role, given):
        change = staff.grant if given else staff.revoke
        return await asyncio.to_thread(staff.once, shop_url, lambda to: change(to, f" {email.upper()} ", role))

    assert await change("operator", True) == {"operator"}
    assert await change("support", True) == await change("support", True) == {"operator", "support"}
    assert await change("operator", False) == await change("operator", False) == {"support"}


async def test_who_has_no_account_gets_no_role(sessions):
    with pytest.raises(NoSuchAccount, match="nobody@example.com"):
        async with sessions() as session:
            await staff.grant(session, "nobody@example.com", "support")


async def test_where_nothing_sends_mails_they_can_be_read(sessions, stranger, password):
    client, email = await stranger(), f"{uuid4()}@example.com"
    with pytest.raises(NoSuchAccount, match="no mail"):
        async with sessions() as session:
            await staff.mail(session, email)
    await client.post("/register", json={"email": email})
    async with sessions() as session:
        token = (await staff.mail(session, email)).token
    made = await client.post("/register/confirm", json={"token": token, "password": password})
    assert made.status_code == 201


@pytest.mark.parametrize("role", ["service", "customer", "king"])
async def test_nobody_is_given_what_is_no_role_of_staff(sessions, role):
    email = f"{uuid4()}@example.com"
    async with sessions() as session:
        await service.add(session, email=email)
    with pytest.raises(IntegrityError, match="user_roles_role_known"):
        async with sessions() as session:
            await staff.grant(session, email, role)
