"""Writes the Python client's types anew from what serving says of itself: clients/python/shelfwise_client/models.py."""

import json
import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr

PAGE = Path(__file__).resolve().parent.parent / "clients" / "python" / "shelfwise_client" / "models.py"
HEAD = '"""What serving is asked and what it answers. Made by `shelfwise docs` of its OpenAPI document; change that."""'
GENERATOR = [
    "datamodel_code_generator",
    *("--input-file-type", "openapi", "--openapi-scopes", "schemas", "paths", "parameters"),
    *("--output-model-type", "typing.TypedDict", "--enum-field-as-literal", "all", "--use-operation-id-as-name"),
    *("--target-python-version", "3.11", "--formatters", "builtin", "--custom-file-header", HEAD),
]


def page() -> str:
    """The whole module."""
    made = _run(GENERATOR, json.dumps(document()))
    return _run(["ruff", "format", "--quiet", "--stdin-filename", str(PAGE), "-"], made)


def document() -> dict[str, object]:
    """Serving's OpenAPI document."""
    from serving.app import create_app
    from serving.settings import Settings

    return create_app(Settings(redis_url="redis://127.0.0.1:1/0", exposures_secret=SecretStr("-" * 16))).openapi()


def write() -> Path:
    """Write the module where it belongs."""
    PAGE.write_text(page())
    return PAGE


def _run(module: list[str], text: str) -> str:
    command = [sys.executable, "-m", *module]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
