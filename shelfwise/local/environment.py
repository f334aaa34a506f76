"""The variables that tell every part where the local stack is: `.data/stack.env`, and `.env` beside the sources."""

import json
import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from shelfwise.settings import StackSettings


def stack_env(data_dir: Path) -> Path:
    return data_dir / "stack.env"


def read(file: Path) -> dict[str, str]:
    """KEY=VALUE lines, values quoted as a shell would; empty when there is no such file."""
    if not file.exists():
        return {}
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): "".join(shlex.split(value)) for key, _, value in pairs}


def load(file: Path) -> None:
    """Put the file's variables into our environment where they are not set."""
    for key, value in read(file).items():
        os.environ.setdefault(key, value)


def write(settings: StackSettings, database_url: str, redis_url: str) -> dict[str, str]:
    """Write stack.env for a stack of these settings; what stands in it. Secrets survive from start to start."""
    data = settings.data_dir.resolve()
    file = stack_env(data)
    given = {
        "SERVICE_TOKEN": settings.service_token,
        "EXPOSURES_SECRET": settings.exposures_secret,
        "SIGNING_KEYS": settings.signing_keys,
        "QUOTE_KEY": settings.quote_key,
        "SANDBOX_SECRET": settings.sandbox_secret,
    }
    kept = read(file)
    # 32 random bytes are an Ed25519 key as well; only its name is missing.
    made = {name: secrets.token_urlsafe(32) for name in given}
    made |= {name: f"local:{made[name]}" for name in ("SIGNING_KEYS", "QUOTE_KEY")}
    secret = {name: said.get_secret_value() or kept.get(name) or made[name] for name, said in given.items()}
    variables = {
        **secret,
        "QUOTE_KEYS": _quote_keys(secret["QUOTE_KEY"]),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "CORE_URL": f"http://127.0.0.1:{settings.core_port}",
        "SERVING_URL": f"http://127.0.0.1:{settings.serving_port}",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{settings.mlflow_port}",
        "LAKE_URI": os.environ.get("LAKE_URI") or str(data / "lake"),
    }
    _write_private(file, variables)
    return variables


def _quote_keys(signing: str) -> str:
    """What the shop verifies quotes with: this key's public half, and whichever others the environment names."""
    from serving.signing import Signer

    others = json.loads(os.environ.get("QUOTE_KEYS") or "{}")
    return json.dumps(others | Signer.of(signing).public)


def _write_private(file: Path, variables: Mapping[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".env.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.writelines(f"{key}={shlex.quote(value)}\n" for key, value in variables.items())
    new.replace(file)
