"""Accounts: beginning one, proving that it is yours, and what is known of you.

There is an account once a mailbox has answered: registering sends a mail, and whoever holds it chooses the password.
So nobody makes an account for somebody else's mailbox, and neither registering, nor logging in, nor resetting a
password tells a stranger whether a mailbox has one (`mails` for the first and the last; a login is compared with
nobody's password when there is none).
"""

from uuid import UUID, uuid4

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.accounts import mails, sessions
from commerce_core.accounts.models import Account, Credential, Identity
from commerce_core.accounts.oidc import Vouched
from commerce_core.accounts.passwords import Passwords
from commerce_core.accounts.schemas import LoginBody, MailedBody, Me, MeBody, PasswordBody, TokenPair
from commerce_core.accounts.tokens import AccessTokens
from commerce_core.errors import ShopError
from commerce_core.users.models import User

SOURCE = "shop"


async def confirm(session: AsyncSession, tokens: AccessTokens, passwords: Passwords, body: MailedBody) -> TokenPair:
    """Make the account of a mailbox that answered, and log in.

    ShopError 410 for a token that is not good, 409 `account_exists` when the mailbox got an account in another way.
    """
    token = body.token.get_secret_value()
    async with passwords.room:
        await mails.mailbox(session, "register", token)
        password_hash = await passwords.hash(body.password.get_secret_value())
    email = await mails.spend(session, "register", token)
    try:
        user_id = await add(session, email=email)
    except IntegrityError as error:
        raise ShopError(409, "account_exists", "this mailbox has an account; log in") from error
    await session.execute(insert(Credential).values(user_id=user_id, password_hash=password_hash))
    return await sessions.begin(session, tokens, user_id)


async def add(session: AsyncSession, *, email: str | None, name: str | None = None) -> UUID:
    """A new shopper with an account; IntegrityError when the mailbox has one, however it is written."""
    user_id = uuid4()
    await session.execute(insert(User).values(user_id=user_id, source=SOURCE, external_id=str(user_id)))
    await session.execute(insert(Account).values(user_id=user_id, email=email, name=name))
    return user_id


async def login(session: AsyncSession, tokens: AccessTokens, passwords: Passwords, body: LoginBody) -> TokenPair:
    """A session for who knows the password; ShopError 401 `login_refused`, as soon and in the same words for nobody."""
    password = body.password.get_secret_value()
    found = (
        select(Credential.user_id, Credential.password_hash)
        .join(Account)
        .where(func.lower(Account.email) == func.lower(body.email))
    )
    async with passwords.room:
        known = (await session.execute(found)).one_or_none()
        good = await passwords.matches(known.password_hash if known else None, password)
        if known is None or not good:
            message = "there is no account with this e-mail and password"
            raise ShopError(401, "login_refused", message, headers={"WWW-Authenticate": "Bearer"})
        if passwords.outdated(known.password_hash):
            unchanged = (Credential.user_id == known.user_id) & (Credential.password_hash == known.password_hash)
            better = await passwords.hash(password)
            await session.execute(update(Credential).where(unchanged).values(password_hash=better))
    return await sessions.begin(session, tokens, known.user_id)


async def login_vouched(session: AsyncSession, tokens: AccessTokens, vouched: Vouched) -> TokenPair:
    """A session for whom another issuer vouches; the first time an account, or the one of their mailbox.

    An account's mailbox has answered us. Who holds it according to an issuer that has checked (and that whoever runs
    the shop has chosen) is the same person. An unchecked e-mail is not taken at all.
    """
    mine = (Identity.issuer == vouched.issuer) & (Identity.subject == vouched.subject)
    lock = func.hashtextextended(f"{vouched.issuer} {vouched.subject}", 3)
    await session.execute(select(func.pg_advisory_xact_lock(lock)))
    user_id = (await session.scalars(select(Identity.user_id).where(mine))).one_or_none()
    if user_id is None:
        if vouched.email is not None:
            holder = select(Account.user_id).where(func.lower(Account.email) == func.lower(vouched.email))
            user_id = (await session.scalars(holder)).one_or_none()
        try:
            user_id = user_id or await add(session, email=vouched.email, name=vouched.name)
        except IntegrityError as error:
            raise ShopError(409, "account_exists", "this mailbox has just got an account; log in again") from error
        values = {"issuer": vouched.issuer, "subject": vouched.subject, "user_id": user_id}
        await session.execute(insert(Identity).values(**values))
    return await sessions.begin(session, tokens, user_id)


# --- passwords --------------------------------------------------------------------------------------------------------


async def reset_password(session: AsyncSession, passwords: Passwords, body: MailedBody) -> None:
    """A new password for who holds the mail; all sessions end. ShopError 410 for a token that is not good."""
    token = body.token.get_secret_value()
    async with passwords.room:
        await mails.mailbox(session, "reset", token)
        password_hash = await passwords.hash(body.password.get_secret_value())
    email = await mails.spend(session, "reset", token)
    holder = select(Account.user_id).where(func.lower(Account.email) == func.lower(email))
    user_id = (await session.scalars(holder)).one()
    await _set_password(session, user_id, password_hash)
    await sessions.end_all(session, user_id)


async def change_password(
    session: AsyncSession, passwords: Passwords, user_id: UUID, here: UUID, body: PasswordBody
) -> None:
    """Another password for who knows the present one; all sessions but `here` end.

    ShopError 403 `password_refused` when it is not the present one, or there is none.
    """
    async with passwords.room:
        kept = select(Credential.password_hash).where(Credential.user_id == user_id)
        known = (await session.scalars(kept)).one_or_none()
        if not await passwords.matches(known, body.current_password.get_secret_value()):
            raise ShopError(403, "password_refused", "that is not the present password; it can be reset by mail")
        password_hash = await passwords.hash(body.new_password.get_secret_value())
    await _set_password(session, user_id, password_hash)
    await sessions.end_all(session, user_id, but=here)


async def _set_password(session: AsyncSession, user_id: UUID, password_hash: str) -> None:
    new = insert_unless(Credential).values(user_id=user_id, password_hash=password_hash)
    values = {"password_hash": new.excluded.password_hash, "changed_at": func.now()}
    await session.execute(new.on_conflict_do_update(index_elements=[Credential.user_id], set_=values))


# --- me ---------------------------------------------------------------------------------------------------------------


async def me(session: AsyncSession, user_id: UUID) -> Me:
    """What is known of who is logged in; ShopError 404 when the account is gone."""
    account = await session.get(Account, user_id, populate_existing=True)
    if account is None:
        raise ShopError(404, "account_not_found", "this account is no longer")
    has_password = await session.get(Credential, user_id) is not None
    return Me(
        user_id=user_id,
        email=account.email,
        name=account.name,
        roles=sorted(await sessions.roles(session, user_id)),
        has_password=has_password,
        created_at=account.created_at,
    )


async def change_me(session: AsyncSession, user_id: UUID, body: MeBody) -> Me:
    """What is known afterwards."""
    if changes := body.model_dump(exclude_unset=True):
        await session.execute(update(Account).where(Account.user_id == user_id).values(**changes))
    return await me(session, user_id)
