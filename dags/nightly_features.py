"""Build the day's features once its raw tables have landed and passed their contracts."""

from airflow.sdk import PartitionedAssetTimetable, dag, task

from dags.assets import DEFAULTS, FEATURES, RAW, partition_day


@dag(schedule=PartitionedAssetTimetable(assets=RAW), default_args=DEFAULTS, max_active_runs=1, tags=["features"])
def nightly_features() -> None:
    @task(outlets=[FEATURES])
    def build_features() -> None:
        from pipelines import build_features

        build_features.run(partition_day())

    build_features()


nightly_features()
