"""Fit the models on the day's features and let the winner of the held-out weeks become champion."""

from airflow.sdk import PartitionedAssetTimetable, dag, task

from dags.assets import CHAMPION, DEFAULTS, FEATURES, partition_day


@dag(schedule=PartitionedAssetTimetable(assets=FEATURES), default_args=DEFAULTS, max_active_runs=1, tags=["training"])
def nightly_training() -> None:
    @task
    def train() -> None:
        from pipelines import train

        train.run(partition_day())

    @task
    def train_demand() -> None:  # beside the champion, not before it: without a forecast recent sales speak
        from pipelines import train_demand

        train_demand.run(partition_day())

    @task(outlets=[CHAMPION])
    def evaluate() -> None:
        from pipelines import evaluate

        evaluate.run(partition_day())

    train() >> [train_demand(), evaluate()]


nightly_training()
