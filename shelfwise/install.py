"""Fills the virtual environment that runs it from requirements.lock, or makes that lock anew. Called by make; standard
library only.

uv installs, because it takes seconds where pip takes minutes. It does not read pip's configuration, so the index that
this machine's user has chosen there is handed to it.
"""

import os
import subprocess
import sys
import sysconfig
from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = """#!/bin/sh
exec "$(dirname "$0")/python" -m shelfwise "$@"
"""
# pip's option → uv's variable, and what stands between several values there.
HANDED_OVER = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
}


def uv_environment(pip_config: str, environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment for uv, given what `pip config list` prints. What the user told uv himself stays as it is."""
    own = any(name.startswith(("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX")) for name in environment)
    if own or (home / ".config" / "uv" / "uv.toml").exists():
        return dict(environment)
    handed = {}
    for line in pip_config.splitlines():  # later lines come from narrower scopes and win
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in HANDED_OVER:
            variable, separator = HANDED_OVER[option]
            handed[variable] = separator.join(str(literal_eval(value)).split())
    if "UV_INDEX" in handed:
        handed["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip's way: all indexes are equal; the hashes guard us
    return {**handed, **environment}


def main() -> None:
    pip_config = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    environment = uv_environment(pip_config, os.environ, Path.home())
    action = resolve() if sys.argv[1:] == ["lock"] else sync()
    done = subprocess.run([sys.executable, "-m", "uv", "pip", *action], cwd=ROOT, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    # The packages are found where they lie; nothing is built, so nothing but the lock is downloaded.
    Path(sysconfig.get_path("purelib"), "shelfwise.pth").write_text(f"{ROOT}\n{ROOT / 'clients' / 'python'}\n")
    launcher = Path(sys.prefix) / "bin" / "shelfwise"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)


def sync() -> list[str]:
    """What makes the environment equal to the lock.

    Compiled at once: half a minute, which each of the many processes would else pay in seconds where Python may not
    write what it compiles (another user's environment, PYTHONDONTWRITEBYTECODE).
    """
    options = ["--python", sys.executable, "--require-hashes", "--compile-bytecode"]
    return ["sync", *options, "requirements.lock"]


def resolve() -> list[str]:
    """What makes the lock from requirements.in, for every Python and system; versions in it stay while they fit."""
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--no-header"]
    return ["compile", "--quiet", *options, "requirements.in", "--output-file", "requirements.lock"]


if __name__ == "__main__":
    main()
