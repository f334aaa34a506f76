import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from pipelines import class_archive
from pipelines.java import java_home

PROGRAM = "org.apache.spark.deploy.SparkSubmit"
JARS = Path(pyspark.__file__).parent / "jars"


@pytest.fixture(scope="module")
def home():
    return java_home()


@pytest.fixture
def prefix(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def started(home, tmp_path_factory):
    """A folder with the archives of a first start, and what that start printed."""
    folder = tmp_path_factory.mktemp("archives")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "prefix", str(folder))
        yield folder, start(home)


def start(home, *words, before=""):
    """What this Java prints, started as a session starts it; `before`: what stands before Spark on its class path."""
    command = [home / "bin" / "java", *class_archive.options(home).split(), *words, "-cp", f"{before}{JARS}/*"]
    command += [PROGRAM, "--version"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_second_start_finds_the_classes_of_the_first(home, started, tmp_path):
    start(home, f"-Xlog:class+load:file={tmp_path}/loaded")
    [loaded] = [line for line in (tmp_path / "loaded").read_text().splitlines() if f" {PROGRAM} " in line]
    assert "source: shared objects file (top)" in loaded


def test_archives_that_do_not_fit_are_passed_over_without_a_word(home, started):
    _, said = started
    [jar] = JARS.glob("zstd-jni-*.jar")
    assert start(home, before=f"{jar}:") == said


def test_an_archive_that_was_never_finished_is_made_again(home, prefix, started):
    folder, _ = started
    for archive in folder.glob("*.jsa"):
        (prefix / archive.name).write_bytes(bytes(4096) if archive.name.startswith("spark-") else archive.read_bytes())
    [unfinished] = prefix.glob("spark-*.jsa")
    assert f"-XX:ArchiveClassesAtExit={unfinished}" in class_archive.options(home)


@pytest.mark.parametrize("folder", ["nowhere", "my shop", "a:b"])
def test_without_a_folder_to_keep_them_in_there_are_none(home, monkeypatch, tmp_path, folder):
    (tmp_path / "my shop").mkdir()
    (tmp_path / "a:b").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / folder))
    assert class_archive.options(home) == ""
