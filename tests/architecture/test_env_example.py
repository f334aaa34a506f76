"""`.env.example` names every variable of every settings class, and nothing else, with the defaults that hold."""

import re
from pathlib import Path

import pytest

import commerce_core.outbox.settings
import commerce_core.settings
import pipelines.settings
import serving.settings
import shelfwise.settings

ROOT = Path(__file__).resolve().parents[2]
CLASSES = [
    commerce_core.settings.Settings,
    commerce_core.outbox.settings.Settings,
    pipelines.settings.Settings,
    serving.settings.Settings,
    shelfwise.settings.StackSettings,
]

SECRETS = {"service_token", "exposures_secret", "signing_keys", "sandbox_secret", "quote_key"}


def variables():
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?([A-Z][A-Z_0-9]*)=(.*)$", text, flags=re.MULTILINE))


def test_every_variable_is_there_and_no_other():
    assert set(variables()) == {name.upper() for kind in CLASSES for name in kind.model_fields}


def test_every_settings_class_is_asked():
    found = {str(path.relative_to(ROOT)) for depth in ("*", "*/*") for path in ROOT.glob(f"{depth}/settings.py")}
    assert found == {f"{kind.__module__.replace('.', '/')}.py" for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__module__)
def test_shown_values_are_the_defaults(kind, monkeypatch):
    example = variables()
    needed = {"database_url": "postgresql:///shop", "service_token": "x" * 16, "exposures_secret": "x" * 16}
    needed |= {"redis_url": "redis://127.0.0.1:1/0", "signing_keys": f"k:{'A' * 43}"}
    needed |= {name: "http://127.0.0.1:1" for name in ("core_url", "lake_uri", "mlflow_tracking_uri")}
    for name in kind.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    required = {name for name, field in kind.model_fields.items() if field.is_required()}
    required |= {"REDIS_URL"} & set(kind.model_fields)  # of the relay, whose bus is Redis by default
    defaults = kind(**{name: needed[name.lower()] for name in required})
    for name in set(kind.model_fields) - required - {"database_url", "redis_url"} - SECRETS:
        default = getattr(defaults, name)
        assert example[name.upper()] == ("" if default is None else str(default)), name
