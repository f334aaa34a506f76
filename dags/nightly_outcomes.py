"""Join the clicks and orders that came to what was shown, once the last day on which they could has landed."""

from airflow.sdk import PartitionedAssetTimetable, dag, task

from dags.assets import DEFAULTS, RAW, partition_day


@dag(schedule=PartitionedAssetTimetable(assets=RAW), default_args=DEFAULTS, max_active_runs=1, tags=["outcomes"])
def nightly_outcomes() -> None:
    @task
    def attribute() -> None:
        from pipelines import attribute

        attribute.run(partition_day())

    attribute()


nightly_outcomes()
