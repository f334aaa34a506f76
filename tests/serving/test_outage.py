"""Redis goes away, hangs, comes back empty: every answer stays 200 and quick, and serving finds back by itself."""

import signal
import statistics
import time

import pytest
from redis import Redis

from benchmarks.slow_link import SlowLink
from benchmarks.synthetic import Synthetic, product_id, user_id
from contracts import rules
from shelfwise.local.processes import start, stop, wait_ready
from shelfwise.local.redis import EmbeddedRedis
from tests.serving.conftest import Crowd, make_live

SHOP = Synthetic(tag=1, users=100, products=100)
SHOPPER = f"/users/{user_id(1)}/recommendations"
PATHS = [f"/users/{user_id(number)}/recommendations?k=5" for number in range(100)] + [
    f"/products/{product_id(number)}/{what}" for number in range(100) for what in ("price", "similar")
]
AT = "2026-11-23T10:00:00+00:00"
POLL_S = 0.25  # serving.settings.pointer_poll_s
LONGEST_S = 2.5  # three time-outs of a quarter of a second each, on a machine that tests keep busy


class MortalRedis:
    """A Redis that can be killed, stopped and started again with what it had saved."""

    def __init__(self, folder, port):
        self._embedded = EmbeddedRedis(folder, port)
        self.url = self._embedded.url
        self.start()

    def start(self):
        self._service = self._embedded.prepare()
        self.process = start(self._service)
        wait_ready(self.process, self._service, timeout_s=30)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            stop(self.process, self._service)


@pytest.fixture
def mortal(tmp_path, free_port):
    redis = MortalRedis(tmp_path / "redis", free_port())
    client = Redis.from_url(redis.url)
    make_live(client, SHOP)
    client.save()
    client.close()
    yield redis
    redis.close()


def degraded(status, answer):
    return answer["degraded"]


def whole(status, answer):
    return not answer["degraded"]


@pytest.mark.parametrize("way", ["killed", "hanging"])
def test_an_outage_under_load(mortal, start_serving, way):
    with start_serving(mortal.url) as serving:
        serving.until_live(SHOP.generation)
        crowd = Crowd(serving.port, PATHS)
        with crowd.asking():
            time.sleep(0.5)
            out = time.monotonic()
            if way == "killed":
                mortal.kill()
            else:
                mortal.process.send_signal(signal.SIGSTOP)
            for path in PATHS:  # a late answer or two are no outage yet: what needs no Redis says so a moment later
                serving.until(path, degraded)
            seen = time.monotonic()
            time.sleep(1.5)
            back = time.monotonic()
            if way == "killed":
                mortal.start()
            else:
                mortal.process.send_signal(signal.SIGCONT)
            recovery = serving.until(SHOPPER, whole)
            found_back = time.monotonic()
            time.sleep(0.5)
    assert not crowd.failures
    assert {status for _, _, status, _ in crowd.answers} == {200}
    assert max(seconds for _, seconds, _, _ in crowd.answers) < LONGEST_S
    assert not [
        answer for started, seconds, _, answer in crowd.answers if started + seconds < out and answer["degraded"]
    ]
    during = [answer for answer in crowd.since(seen) if answer[0] + answer[1] < back]
    assert during
    assert all(answer["degraded"] for *_, answer in during)
    assert all(answer["items"] for *_, answer in during if "items" in answer)
    assert statistics.median(seconds for _, seconds, _, _ in during) < 0.1
    assert recovery < 15
    after = crowd.since(found_back)
    assert after
    assert not any(answer["degraded"] for *_, answer in after)


def test_prices_that_were_asked_for_outlive_an_outage(mortal, start_serving):
    with start_serving(mortal.url) as serving:
        serving.until_live(SHOP.generation)
        _, before = serving.ask(f"/products/{product_id(1)}/price")
        mortal.kill()
        serving.until(SHOPPER, degraded)
        _, known = serving.ask(f"/products/{product_id(1)}/price")
        _, unknown = serving.ask(f"/products/{product_id(2)}/price")
    assert (known["price_minor"], known["degraded"]) == (before["price_minor"], True)
    assert (unknown["price_minor"], unknown["source"], unknown["degraded"]) == (None, "none", True)


def test_a_start_without_redis(mortal, start_serving):
    mortal.kill()
    with start_serving(mortal.url) as serving:
        status, answer = serving.ask("/ready")
        assert (status, answer["error"]) == (503, "not_ready")
        for path in (SHOPPER, "/popular", f"/products/{product_id(1)}/similar"):
            status, answer = serving.ask(path)
            assert (status, answer["items"], answer["degraded"], answer["generation"]) == (200, [], True, None)
        status, answer = serving.ask("/prices", {"product_ids": [str(product_id(1))]})
        assert (status, answer["prices"][0]["price_minor"], answer["degraded"]) == (200, None, True)
        mortal.start()
        serving.until_live(SHOP.generation)
        assert serving.ask(SHOPPER)[1]["source"] == "personal"


def test_a_new_worker_answers_nobody_before_it_has_looked(mortal, start_serving, free_port):
    """It needs some ten reads to have a generation, each of them slow here."""
    with SlowLink(free_port(), behind=int(mortal.url.split(":")[-1].partition("/")[0])).up() as link:
        link.delay_s = 0.1
        with start_serving(f"redis://127.0.0.1:{link.port}/0") as serving:
            status, answer = serving.ask(SHOPPER)
    assert (status, answer["generation"]) == (200, SHOP.generation)
    assert answer["items"]


@pytest.mark.parametrize("counted", [1, 3])
def test_an_emptied_redis_lifts_no_rule_and_what_it_says_then_is_heard(mortal, start_serving, counted):
    """Also when as many changes were counted before as after, or more."""
    before, after = SHOP.popular(0)[:2]

    def sold_out(number, changes=1):
        event = {"product_id": str(SHOP.shown(number)), "available": False, "reason": "hidden", "at": AT}
        client.set(rules.BLOCKED, rules.record(event))
        client.incrby(rules.CHANGES, changes)
        serving.until("/popular", lambda _, answer: str(SHOP.shown(number)) not in shown(answer))

    def shown(answer):
        return {item["product_id"] for item in answer["items"]}

    with start_serving(mortal.url) as serving, Redis.from_url(mortal.url) as client:
        serving.until_live(SHOP.generation)
        assert shown(serving.ask("/popular")[1]) >= {str(SHOP.shown(before)), str(SHOP.shown(after))}
        sold_out(before)
        client.flushall()
        time.sleep(3 * POLL_S)
        make_live(client, SHOP)
        sold_out(after, counted)
        assert not shown(serving.ask("/popular")[1]) & {str(SHOP.shown(before)), str(SHOP.shown(after))}


def test_a_flushed_redis(mortal, start_serving):
    with start_serving(mortal.url) as serving, Redis.from_url(mortal.url) as client:
        serving.until_live(SHOP.generation)
        client.flushall()
        status, answer = serving.ask(SHOPPER)
        assert (status, answer["source"], answer["degraded"]) == (200, "popular", True)
        assert len(answer["items"]) == 10
        other = Synthetic(tag=2, users=100, products=100)
        make_live(client, other)
        serving.until_live(other.generation)
        assert serving.ask(SHOPPER)[1]["source"] == "personal"
