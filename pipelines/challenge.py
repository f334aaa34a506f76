"""A second generation beside the live one, for the other arm of an experiment: published, and withdrawn (ADR 0013)."""

from datetime import date

from contracts import keys
from pipelines import lease, lists, price_signals, publish, vectors
from pipelines.generation import Client, connect
from pipelines.inputs import read_inputs
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.spark import session
from pipelines.tracking import CHALLENGER, Tracking
from pipelines.train import NAME


def run(day: date, version: int, settings: Settings | None = None) -> dict[str, object]:
    """Let this version of the recommender say what was known at the end of `day`, and publish that beside the live one.

    The day's marts in the lake are the challenger's until the day is published again: let it go first.
    """
    settings = settings or Settings()
    Tracking(settings.mlflow_tracking_uri).challenge(NAME, version)
    theirs = [mart.build(day, settings, CHALLENGER) for mart in (lists, vectors)]
    models = [str(built["model"]) for built in (*theirs, price_signals.build(day, settings))]
    made = read_inputs(session(settings), Lake(settings.lake_uri), day, list(dict.fromkeys(models)))
    client = connect(settings.redis_url)
    with lease.held(client) as token:
        unchanged = challenging(client) == made.generation
        publish.write_whole(client, token, made, settings)
        point(client, token, made.generation)
    return publish.report(client, made.generation, unchanged=unchanged)


def withdraw(settings: Settings | None = None) -> dict[str, object]:
    """The champion answers everybody again."""
    settings = settings or Settings()
    client = connect(settings.redis_url)
    with lease.held(client) as token:
        before = challenging(client)
        point(client, token, None)
    return {"challenger": None, "before": before}


def challenging(client: Client) -> str | None:
    """Id of the generation that the other arm of an experiment is shown."""
    challenger: bytes | None = client.get(keys.CHALLENGER)
    return None if challenger is None else challenger.decode()


def point(client: Client, token: bytes, generation: str | None) -> None:
    """Let a whole generation be the challenger, or none any more.

    The one before, unless it is kept, goes when the next publish begins: until they have looked, workers read from it.
    """
    before, kept = challenging(client), publish.kept_generations(client)
    with lease.transaction(client, token, f"{generation} was not made the challenger") as pipeline:
        if generation is None:
            pipeline.delete(keys.CHALLENGER)
        else:
            pipeline.set(keys.CHALLENGER, generation).srem(keys.PARTIAL, generation)
        if before is not None and before not in (generation, *kept):
            pipeline.sadd(keys.PARTIAL, before)
