"""Bring yesterday from the shop into the lake and hold it to the contracts."""

from airflow.sdk import dag, task

from dags.assets import DEFAULTS, NIGHTLY, RAW, partition_day


@dag(schedule=NIGHTLY, default_args=DEFAULTS, max_active_runs=1, tags=["ingest"])
def nightly_ingest() -> None:
    @task
    def ingest() -> None:
        from pipelines import ingest  # the step's imports are paid for in the worker, not while parsing

        ingest.run(partition_day())

    @task(outlets=[RAW], retries=0)  # a broken contract does not mend itself
    def check() -> None:
        from pipelines import check

        check.run(partition_day())

    ingest() >> check()


nightly_ingest()
