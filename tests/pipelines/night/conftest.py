"""Tests of what a night leaves behind. It takes a minute to make, so they run at night too."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before those that are marked are left out
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.night)


@pytest.fixture(scope="session")
def night(spark, stack_root):
    """The lake and the models after a night over a small made-up shop (tests.pipelines.small_night)."""
    from pipelines import build_features, evaluate, lists, train
    from tests.pipelines.small_night import fill

    made = fill(stack_root / "night")
    reports = {step.__name__: step.run(made.day, made.settings) for step in (build_features, train, evaluate)}
    reports["pipelines.lists"] = lists.build(made.day, made.settings)
    return made, reports
