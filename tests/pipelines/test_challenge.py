"""A challenger stands beside the live generation, and whatever happens to either leaves the other whole."""

from datetime import date

import pytest
import redis

from benchmarks.synthetic import Synthetic
from contracts import keys
from pipelines import challenge, lease, lists, price_signals, publish, vectors
from pipelines.generation import PublishError
from pipelines.inputs import Inputs
from pipelines.settings import Settings
from pipelines.tracking import CHALLENGER, Tracking

ONE, TWO, THREE, FOUR = (Synthetic(tag, users=5, products=10, length=3) for tag in (1, 2, 3, 4))


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


def whole(client, synthetic):
    return {key: client.dump(key) for key in client.scan_iter(match=keys.prefix(synthetic.generation) + b"*")}


def written(client, *some):
    for synthetic in some:
        synthetic.write(client)


def live(client, synthetic):
    with lease.held(client) as token:
        publish.make_live(client, token, synthetic.generation)


def point(client, synthetic):
    with lease.held(client) as token:
        challenge.point(client, token, synthetic.generation if synthetic else None)


def test_publishing_the_live_one_again_and_again_leaves_the_challenger_whole(client):
    written(client, ONE, TWO, THREE, FOUR)
    live(client, ONE)
    point(client, TWO)
    before = whole(client, TWO)
    live(client, THREE)
    live(client, FOUR)
    assert whole(client, TWO) == before != {}
    assert challenge.challenging(client) == TWO.generation
    assert not whole(client, ONE)


def test_the_next_challenger_replaces_the_one_before_and_none_leaves_nothing(client):
    written(client, ONE, TWO, THREE)
    live(client, ONE)
    before = whole(client, ONE)
    point(client, TWO)
    point(client, THREE)
    assert whole(client, TWO)  # workers may read from it still
    publish.discard_partial(client)  # as each publish does first
    assert not whole(client, TWO)
    assert whole(client, THREE)
    point(client, None)
    publish.discard_partial(client)
    assert challenge.challenging(client) is None
    assert not whole(client, THREE)
    assert whole(client, ONE) == before
    assert publish.live_generation(client) == ONE.generation


def test_a_challenger_that_was_made_live_is_not_removed_when_it_stops_challenging(client):
    written(client, ONE, TWO)
    live(client, ONE)
    point(client, TWO)
    live(client, TWO)
    before = whole(client, TWO)
    point(client, None)
    publish.discard_partial(client)
    assert whole(client, TWO) == before
    assert publish.live_generation(client) == TWO.generation


def test_a_challenger_that_was_live_outlives_that(client):
    written(client, ONE, TWO, THREE)
    live(client, ONE)
    point(client, ONE)
    live(client, TWO)
    live(client, THREE)  # keeps two, of which the first is none
    assert whole(client, ONE)
    point(client, None)
    publish.discard_partial(client)
    assert not whole(client, ONE)


def test_who_lost_the_lease_moves_nothing(client):
    written(client, ONE)
    with lease.held(client) as token:
        client.set(keys.LEASE, "somebody else")
        with pytest.raises(PublishError, match="was not made the challenger: another publish took over"):
            challenge.point(client, token, ONE.generation)
    assert challenge.challenging(client) is None


# --- the step, with generations that are there already in the place of a day's marts ---

DAY = date(2026, 3, 1)


@pytest.fixture
def publishing(client, redis_url, monkeypatch):
    """A function: from now on the day's marts say this generation. Its list tells which were written to Redis."""
    said, written = [ONE], []

    def write(client, made, draft):
        assert client.sismember(keys.PARTIAL, draft.generation)
        written.append(draft.generation)
        said[0].write(client)

    def read(*_):
        return Inputs({}, {}, (), 0, said[0].generation, {})

    for step in (publish, challenge):
        monkeypatch.setattr(step, "session", lambda _: None)
        monkeypatch.setattr(step, "read_inputs", read)
    monkeypatch.setattr(publish, "write", write)
    monkeypatch.setattr(Tracking, "challenge", lambda *_: None)
    for mart in (lists, vectors):
        monkeypatch.setattr(mart, "build", lambda day, settings, alias: {"model": alias})
    monkeypatch.setattr(price_signals, "build", lambda day, settings: {"model": "price_effects/1"})
    return lambda synthetic: said.__setitem__(0, synthetic), written


@pytest.fixture
def settings(tmp_path, redis_url):
    return Settings(
        lake_uri=str(tmp_path),
        core_url="http://127.0.0.1:1",
        service_token="not-a-secret-in-tests",
        redis_url=redis_url,
        mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
    )


def test_a_challenger_is_published_once_promoted_without_writing_and_withdrawn(client, settings, publishing):
    say, written = publishing
    assert publish.send(DAY, settings, ["champion"])["unchanged"] is False
    say(TWO)
    assert challenge.run(DAY, 2, settings)["generation"] == TWO.generation
    assert challenge.run(DAY, 2, settings)["unchanged"] is True
    assert (publish.live_generation(client), challenge.challenging(client)) == (ONE.generation, TWO.generation)
    publish.send(DAY, settings, [CHALLENGER])
    assert publish.live_generation(client) == TWO.generation
    assert written == [ONE.generation, TWO.generation]
    assert challenge.withdraw(settings) == {"challenger": None, "before": TWO.generation}
    assert client.exists(keys.ready_key(TWO.generation))
    assert not client.exists(keys.PARTIAL)


def test_who_lost_the_lease_leaves_alone_what_the_other_made_live(client, settings, publishing, monkeypatch):
    def overtaken(client, made, draft):
        ONE.write(client)
        client.set(keys.LEASE, "another")
        client.set(keys.LIVE, draft.generation)  # the same day, by a step that was started again
        client.srem(keys.PARTIAL, draft.generation)

    monkeypatch.setattr(publish, "write", overtaken)
    with pytest.raises(PublishError, match="was not declared whole"):
        publish.send(DAY, settings, ["champion"])
    before = whole(client, ONE)
    publish.discard_partial(client)
    assert whole(client, ONE) == before != {}


def test_a_challenger_that_dies_half_way_leaves_nothing(client, settings, publishing, monkeypatch):
    publish.send(DAY, settings, ["champion"])
    publishing[0](TWO)

    def die(client, made, draft):
        client.set(keys.meta_key(draft.generation), "half")
        raise SystemExit("killed")

    monkeypatch.setattr(publish, "write", die)
    with pytest.raises(SystemExit):
        challenge.run(DAY, 2, settings)
    assert challenge.challenging(client) is None
    assert not whole(client, TWO)
    assert publish.live_generation(client) == ONE.generation
