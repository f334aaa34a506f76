"""Beginning an account, logging in and out; and the mails that belong to it, for who sends them."""

from uuid import UUID

from fastapi import APIRouter, Depends, Response

from commerce_core.accounts import mails, service, sessions
from commerce_core.accounts.dependencies import Hashing, Signing, TheProvider
from commerce_core.accounts.limits import MAILBOX, MAILS, PASSWORDS, EachAddress, Limited
from commerce_core.accounts.schemas import (
    Asked,
    Jwks,
    LoginBody,
    Mail,
    MailboxBody,
    MailedBody,
    OidcBody,
    RefreshBody,
    TokenPair,
    Written,
)
from commerce_core.audit.service import Audited
from commerce_core.dependencies import Transaction
from commerce_core.errors import error_answer, refusals
from commerce_core.principals import require

router = APIRouter(tags=["accounts"])


async def _not_kept(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


SECRET = [EachAddress, Depends(_not_kept)]


@router.post("/register", status_code=202, dependencies=[EachAddress], responses=refusals(422, 429))
async def register(transaction: Transaction, limits: Limited, body: MailboxBody) -> Asked:
    """Sends a mail to a mailbox; its link leads to a page that chooses a password. One answer for all mailboxes."""
    await _ask(transaction, limits, "register", body.email)
    return Asked()


@router.post("/register/confirm", status_code=201, dependencies=SECRET, responses=refusals(409, 410, 422, 429))
async def confirm(transaction: Transaction, tokens: Signing, passwords: Hashing, body: MailedBody) -> TokenPair:
    """Makes the account of the mailbox that a token was mailed to, with this password, and logs in."""
    return await service.confirm(transaction, tokens, passwords, body)


@router.post("/login", dependencies=SECRET, responses=refusals(401, 422, 429))
async def login(
    transaction: Transaction, limits: Limited, tokens: Signing, passwords: Hashing, body: LoginBody
) -> TokenPair:
    """Begins a session. Who has no account is told the same as who has forgotten the password, and as late."""
    await limits.take(PASSWORDS, body.email)
    pair = await service.login(transaction, tokens, passwords, body)
    await limits.clear(transaction, PASSWORDS, body.email)
    return pair


@router.post("/login/oidc", dependencies=SECRET, responses=refusals(401, 404, 409, 422, 429, 502))
async def login_oidc(transaction: Transaction, tokens: Signing, provider: TheProvider, body: OidcBody) -> TokenPair:
    """Begins a session with the code that the login provider's page gave."""
    vouched = await provider.identify(body)  # before the transaction's first statement
    return await service.login_vouched(transaction, tokens, vouched)


@router.post("/refresh", dependencies=SECRET, response_model=TokenPair, responses=refusals(401, 409, 422, 429))
async def refresh(transaction: Transaction, tokens: Signing, body: RefreshBody) -> TokenPair | Response:
    """Trades a refresh token, which is good once. One that comes again ends its session, unless within moments."""
    pair = await sessions.refresh(transaction, tokens, body.refresh_token.get_secret_value())
    if pair is None:  # answered, not raised: that would undo the end of the session
        told = sessions.refused()
        return error_answer(told.status_code, told.code, told.detail, headers=told.headers)
    return pair


@router.post("/logout", status_code=204, dependencies=[EachAddress], responses=refusals(422, 429))
async def logout(transaction: Transaction, body: RefreshBody) -> None:
    """Ends a session: its refresh token is good no more, and its last access token for some minutes at most."""
    await sessions.end(transaction, body.refresh_token.get_secret_value())


@router.post("/password/reset", status_code=202, dependencies=[EachAddress], responses=refusals(422, 429))
async def ask_reset(transaction: Transaction, limits: Limited, body: MailboxBody) -> Asked:
    """Sends a mail to a mailbox, if it has an account; its link leads to a page that chooses another password."""
    await _ask(transaction, limits, "reset", body.email)
    return Asked()


@router.post("/password/reset/confirm", status_code=204, dependencies=[EachAddress], responses=refusals(410, 422, 429))
async def reset_password(transaction: Transaction, passwords: Hashing, body: MailedBody) -> None:
    """Sets the password of the account whose mailbox a token was mailed to. All its sessions end."""
    await service.reset_password(transaction, passwords, body)


async def _ask(transaction: Transaction, limits: Limited, kind: mails.Kind, email: str) -> None:
    await limits.take(MAILS)
    if await limits.room_for(MAILBOX, f"{kind} {email}"):
        await mails.ask(transaction, kind, email)


@router.get("/.well-known/jwks.json")
async def public_keys(tokens: Signing) -> Jwks:
    """The public keys of access tokens, for whoever reads them."""
    return Jwks(keys=tokens.public_keys())


@router.post(
    "/account-mails/{mail_id}",
    dependencies=[Depends(require("service")), Depends(_not_kept)],
    responses=refusals(401, 403, 404, 422),
)
async def write_mail(transaction: Transaction, mail_id: UUID, audited: Audited) -> Mail:
    """What is to be sent for an `account_mails` event of the bus. Its token is made now; no other is good after."""
    mail = await mails.write(transaction, mail_id)
    await audited.wrote(transaction, f"account-mail:{mail_id}", None, Written(template=mail.template))
    return mail
