"""Serving stays light: what it must not load, even indirectly."""

import subprocess
import sys

HEAVY = (
    "pandas",
    "pyarrow",
    "pyspark",
    "mlflow",
    "sqlalchemy",
    "deltalake",
    "duckdb",
    "sklearn",
    "scipy",
    "airflow",
    "numpy",
)


def test_nothing_heavy_is_loaded():
    code = (
        "import sys; from serving.app import create_app; from serving.settings import Settings; "
        "create_app(Settings(redis_url='redis://127.0.0.1:1/0')); "
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
