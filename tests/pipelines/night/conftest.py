"""Tests of what a night leaves behind. One process runs them all (tests/conftest.py): it takes a minute to make."""

import pytest


@pytest.fixture(scope="session")
def night(spark, stack_root):
    """The lake and the models after a night over a small made-up shop (tests.pipelines.small_night)."""
    from pipelines import build_features, evaluate, lists, train
    from tests.pipelines.small_night import fill

    made = fill(stack_root / "night")
    reports = {step.__name__: step.run(made.day, made.settings) for step in (build_features, train, evaluate)}
    reports["pipelines.lists"] = lists.build(made.day, made.settings)
    return made, reports
