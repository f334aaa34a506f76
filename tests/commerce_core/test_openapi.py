"""Whatever is asked of it by whom it lets in, the shop answers as its OpenAPI document says, and never with a 5xx."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as conformance

from commerce_core.accounts.staff import ROLES
from commerce_core.accounts.tokens import AccessTokens, Grant, signing_keys
from commerce_core.settings import Settings
from tests.commerce_core.conftest import SETTINGS, TOKEN

MATRIX = tomllib.loads((Path(__file__).parent / "authorisation.toml").read_text())
EXAMPLES = 6
ANYTHING_GOES = ("POST /webhooks/{source}",)
CHECKS = [
    checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
]


@pytest.fixture(scope="module")
def document(core):
    address, _ = core
    return schemathesis.openapi.from_dict(httpx.get(f"{address}/openapi.json").json())


@pytest.fixture(scope="module")
def omnipotent(shop_url, fill):
    """The access token of a customer who has every role."""
    user_id = uuid4()
    fill(
        ("insert into users (user_id, external_id) values ($1, 'all')", user_id),
        ("insert into accounts (user_id, email) values ($1, 'all@example.com')", user_id),
        *(("insert into user_roles (user_id, role) values ($1, $2)", user_id, role) for role in ROLES),
    )
    with_settings = Settings(DATABASE_URL=shop_url, **SETTINGS)
    keys = signing_keys(with_settings.SIGNING_KEYS.get_secret_value())
    tokens = AccessTokens(keys, issuer=with_settings.TOKEN_ISSUER, lasts_s=3600)
    return tokens.issue(Grant(user_id, uuid4(), frozenset({"customer", *ROLES})), now=datetime.now(UTC))


def modes(route, operation):
    """What can be asked rightly and, where anything can be got wrong, wrongly."""
    faulty = route not in ANYTHING_GOES and (operation.body or operation.query or operation.path_parameters)
    return list(GenerationMode) if faulty else [GenerationMode.POSITIVE]


@pytest.mark.parametrize("route", MATRIX)
def test_it_answers_as_the_document_says(document, core, omnipotent, route):
    address, _ = core
    method, path = route.split()
    operation = document[path][method]
    token = TOKEN if MATRIX[route] == ["service"] else omnipotent

    for mode in modes(route, operation):

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case):
            answer = case.call(base_url=address, headers={"Authorization": f"Bearer {token}"})
            case.validate_response(answer, checks=CHECKS)

        ask()
