"""Variables in files: what is set already wins, and what was written is what is read."""

import json

from commerce_core.accounts.tokens import signing_keys
from commerce_core.settings import Settings
from serving.signing import Signer
from shelfwise.local import environment
from shelfwise.settings import StackSettings


def test_values_with_spaces_and_quotes_come_back(tmp_path):
    settings = StackSettings(data_dir=tmp_path / "a 'quoted' place")
    written = environment.write(settings, "postgresql:///shop?host=/a b&user=postgres", "redis://127.0.0.1:1/0")
    assert environment.read(environment.stack_env(settings.data_dir)) == written


def test_what_is_set_already_wins(tmp_path, monkeypatch):
    file = tmp_path / ".env"
    file.write_text("# a comment\n\nSPARK_MASTER=spark://cluster:7077\nCORE_URL='http://elsewhere'\n")
    monkeypatch.setenv("SPARK_MASTER", "local[1]")
    monkeypatch.delenv("CORE_URL", raising=False)
    environment.load(file)
    import os

    assert (os.environ["SPARK_MASTER"], os.environ["CORE_URL"]) == ("local[1]", "http://elsewhere")
    monkeypatch.delenv("CORE_URL")


def test_the_signing_key_is_one_that_the_shop_takes(tmp_path):
    made = environment.write(StackSettings(data_dir=tmp_path), "", "")["SIGNING_KEYS"]
    assert list(signing_keys(made)) == ["local"]
    assert environment.write(StackSettings(data_dir=tmp_path), "", "")["SIGNING_KEYS"] == made


def test_the_shop_knows_the_key_of_quotes_and_keeps_others_that_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("QUOTE_KEYS", '{"old": "pem"}')
    made = environment.write(StackSettings(data_dir=tmp_path), "", "")
    keys = Settings(
        DATABASE_URL="postgresql:///x",
        SERVICE_TOKEN=made["SERVICE_TOKEN"],
        SIGNING_KEYS=made["SIGNING_KEYS"],
        QUOTE_KEYS=json.loads(environment.read(environment.stack_env(tmp_path))["QUOTE_KEYS"]),
    ).QUOTE_KEYS
    assert keys == {"old": "pem"} | Signer.of(made["QUOTE_KEY"]).public
    again = environment.write(StackSettings(data_dir=tmp_path), "", "")
    assert (again["QUOTE_KEY"], again["QUOTE_KEYS"]) == (made["QUOTE_KEY"], made["QUOTE_KEYS"])


def test_secret_is_made_once_unless_given(tmp_path):
    first = environment.write(StackSettings(data_dir=tmp_path), "", "")["SERVICE_TOKEN"]
    assert len(first) >= 32
    assert environment.write(StackSettings(data_dir=tmp_path), "", "")["SERVICE_TOKEN"] == first
    given = StackSettings(data_dir=tmp_path, service_token="given-by-the-user")
    assert environment.write(given, "", "")["SERVICE_TOKEN"] == "given-by-the-user"
