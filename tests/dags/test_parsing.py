"""The DAG files as Airflow's processor sees them: no errors, quick, nothing heavy, and chained by their assets."""

import json
import os
import subprocess
import sys

import pytest

from shelfwise.local.airflow import DAGS

PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(dag_folder={dags!r})
print(json.dumps({{
    "errors": bag.import_errors,
    "tasks": {{dag.dag_id: [task.task_id for task in dag.topological_sort()] for dag in bag.dags.values()}},
    "outlets": {{dag.dag_id: [asset.uri for task in dag.tasks for asset in task.outlets] for dag in bag.dags.values()}},
    "waits_for": {{
        dag.dag_id: [dag.timetable.asset_condition.uri] for dag in bag.dags.values()
        if getattr(dag.timetable, "asset_condition", None)
    }},
    "seconds": {{stat.file: stat.duration.total_seconds() for stat in bag.dagbag_stats}},
    "heavy": [name for name in ("pyspark", "pandas", "mlflow", "pyarrow", "pipelines") if name in sys.modules],
}}))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    env = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
    program = PARSE.format(dags=str(DAGS))
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_no_import_errors(parsed):
    assert parsed["errors"] == {}


def test_every_step_has_its_place(parsed):
    assert parsed["tasks"] == {
        "nightly_ingest": ["ingest", "check"],
        "nightly_features": ["build_features"],
        "nightly_training": ["train", "train_demand", "evaluate"],
        "nightly_publishing": ["publish"],
        "nightly_outcomes": ["attribute"],
    }


def test_the_dags_are_chained_by_their_assets(parsed):
    assert parsed["waits_for"] == {
        "nightly_features": parsed["outlets"]["nightly_ingest"],
        "nightly_outcomes": parsed["outlets"]["nightly_ingest"],  # waits for no model, and none waits for it
        "nightly_training": parsed["outlets"]["nightly_features"],
        "nightly_publishing": parsed["outlets"]["nightly_training"],
    }


def test_parsing_is_light(parsed):
    assert parsed["heavy"] == []
    # The one time limit among the tests: the processor parses every file again and again.
    assert max(parsed["seconds"].values()) < 1


def test_dag_files_hold_no_logic():
    files = [file for file in DAGS.glob("*.py") if file.name not in ("__init__.py", "assets.py")]
    assert files
    assert {file.name: n for file in files if (n := len(file.read_text().splitlines())) > 40} == {}
