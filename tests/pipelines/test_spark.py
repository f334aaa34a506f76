import os
import subprocess
import sys
from pathlib import Path

from pipelines import spark as door

ROOT = Path(door.__file__).parent.parent


def in_worker(spark, ask):
    return spark.sparkContext.parallelize([0], 1).map(lambda _: ask()).collect()[0]


def test_workers_are_this_python_and_find_our_packages(spark):
    def ask():
        import pipelines

        return sys.executable, pipelines.__file__

    assert in_worker(spark, ask) == (sys.executable, str(ROOT / "pipelines" / "__init__.py"))


def test_workers_compute_on_one_thread(spark):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    assert in_worker(spark, lambda: [os.environ[name] for name in names]) == ["1", "1", "1"]


def test_days_begin_at_midnight_utc_whatever_the_machine_s_zone(spark):
    row = spark.sql("select to_date(timestamp_seconds(1483225200)) as day, current_timezone() as zone").first()
    assert (str(row["day"]), row["zone"]) == ("2016-12-31", "UTC")


def test_there_is_one_session(spark, settings):
    assert door.session(settings) is spark


def test_packages_are_found_from_any_folder_and_nothing_is_left_there_or_running(tmp_path):
    script = """
import psutil
from pipelines.settings import Settings
from pipelines.spark import session, stop
spark = session(Settings())
def ask(_):
    import pipelines.parts
    return pipelines.parts.__file__
print(spark.sparkContext.parallelize([0], 1).map(ask).collect()[0])
assert psutil.Process().children()
stop()
stop()  # of nothing
print(psutil.Process().children())
"""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    names = ("LAKE_URI", "CORE_URL", "SERVICE_TOKEN", "REDIS_URL", "MLFLOW_TRACKING_URI")
    env = {**os.environ, **dict.fromkeys(names, "unused"), "SPARK_DRIVER_MEMORY": "512m"}
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + script
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(ROOT / "pipelines" / "parts.py"), "[]"]
    assert list(folder.iterdir()) == []
