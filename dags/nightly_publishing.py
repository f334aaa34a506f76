"""Publish the champion's lists and prices as one generation and make it live."""

from airflow.sdk import PartitionedAssetTimetable, dag, task

from dags.assets import CHAMPION, DEFAULTS, GENERATION, partition_day


@dag(schedule=PartitionedAssetTimetable(assets=CHAMPION), default_args=DEFAULTS, max_active_runs=1, tags=["publishing"])
def nightly_publishing() -> None:
    @task(outlets=[GENERATION])
    def publish() -> None:
        from pipelines import publish

        publish.run(partition_day())

    publish()


nightly_publishing()
