"""Books of moves: what goes in, what is expected of them, and what they did; sums are written as arithmetic."""

import math

import pytest

from contracts import conf
from models.price_books import Move, Outcome, chosen, interval, judge, line, move, what_if
from models.price_terms import Guardrails, Signals
from models.pricing import quote

GUARDRAILS = conf.load("pricing", Guardrails)


def signals(**changes):
    values = {
        "product_id": "p",
        "currency": "EUR",
        "list_price_minor": 1000,
        "price_minor": 800,
        "cost_minor": 500,
        "elasticity": -1.2,
        "elasticity_se": 0.1,
        "identified_by": "events",
        "weekly_units": 10.0,
    }
    return Signals(**values | changes)


def test_a_line_says_what_was_decided_and_on_what():
    decision = quote(signals(), GUARDRAILS)
    assert decision.action == "move"
    made = line(decision, signals(), GUARDRAILS, "soap")
    assert (made["from_minor"], made["list_price_minor"], made["cluster"]) == (800, 1000, "soap")
    assert made["low_minor"] <= made["price_minor"] <= made["high_minor"]
    assert (made["effect_low"], made["effect_high"]) == pytest.approx((-1.2 - 1.28 * 0.1, -1.2 + 1.28 * 0.1))
    assert made["gain_low_minor"] > 0


@pytest.mark.parametrize(("effect", "ends"), [(-0.05, (-0.178, 0.0)), (-9.95, (-10.0, -9.822)), (None, (0.0, 0.0))])
def test_an_effect_is_neither_positive_nor_beyond_belief(effect, ends):
    spread = None if effect is None else 0.1
    assert interval(signals(elasticity=effect, elasticity_se=spread), GUARDRAILS) == pytest.approx(ends)


def test_what_a_move_is_expected_to_do():
    """800 to 880 is a tenth more: at -1 and -2 ten units become 10 e^-0.1 and 10 e^-0.2."""
    found = what_if([Move("p", 800, 880, 500.0, 10.0, (-2.0, -1.0))])
    few, many = 10 * math.exp(-0.2), 10 * math.exp(-0.1)
    assert found["units"] == pytest.approx({"low": few - 10, "high": many - 10})
    assert found["revenue_minor"] == pytest.approx({"low": 880 * few - 8000, "high": 880 * many - 8000})
    assert found["margin_minor"] == pytest.approx({"low": 380 * few - 3000, "high": 380 * many - 3000})


def test_the_worse_ends_of_a_rise_and_of_a_cut_are_added():
    rise, cut = Move("p", 800, 880, 500.0, 10.0, (-2.0, -1.0)), Move("q", 800, 720, 500.0, 10.0, (-2.0, -1.0))
    found = what_if([rise, cut])
    assert found["units"]["low"] == pytest.approx(10 * math.exp(-0.2) + 10 * math.exp(0.1) - 20)


def test_the_gain_is_the_policys():
    decision = quote(signals(), GUARDRAILS)
    found = what_if([move(signals(), decision.price_minor, GUARDRAILS)])
    # The policy judges a rise with the response of the long run; the what-if with what was measured.
    assert found["margin_minor"]["high"] == pytest.approx(decision.gain_minor[1])
    assert found["margin_minor"]["low"] >= decision.gain_minor[0]


def test_without_a_cost_margin_is_the_assumed_share_of_the_regular_price():
    assert move(signals(cost_minor=None), 900, GUARDRAILS).unit_cost == pytest.approx(700)
    assert move(signals(cost_minor=0), 900, GUARDRAILS).unit_cost == 0


def test_broken_prices_come_first_then_the_surest_gains():
    def made(name, gain, reason="pays_at_both_ends"):
        return {"product_id": name, "gain_low_minor": gain, "reasons": [reason]}

    lines = [made("a", 1.0), made("b", 9.0), made("c", 0.0, "below_floor"), made("d", 9.0)]
    assert [one["product_id"] for one in chosen(lines, 3)] == ["c", "b", "d"]


class TestJudge:
    RISE = Move("p", 800, 880, 500.0, 100.0, (-2.0, -1.0))
    MIDDLE = 100 * math.exp(-0.15)

    def test_what_came_as_expected(self):
        found = judge([Outcome(self.RISE, 2 * self.MIDDLE, 2.0)], others_expected=50, others_sold=50)
        assert (found.bias, found.slope, found.drift) == pytest.approx((0, 1, 1))
        assert found.margin_minor == pytest.approx(2 * (380 * self.MIDDLE - 300 * 100))
        assert found.expected_margin_minor[0] < found.margin_minor < found.expected_margin_minor[1]
        assert found.within

    def test_shoppers_who_did_not_mind_are_a_slope_of_zero(self):
        found = judge([Outcome(self.RISE, 100.0, 1.0)], others_expected=50, others_sold=50)
        assert found.slope == pytest.approx(0)
        assert found.bias == pytest.approx(100 / self.MIDDLE - 1)
        assert not found.within

    def test_a_week_that_was_slow_for_everything_is_nobodys_fault(self):
        found = judge([Outcome(self.RISE, self.MIDDLE / 2, 1.0)], others_expected=50, others_sold=25)
        assert (found.drift, found.bias, found.slope) == pytest.approx((0.5, 0, 1))
        assert found.within

    def test_the_error_of_the_slope_is_poissons(self):
        moved = self.MIDDLE - 100
        found = judge([Outcome(self.RISE, self.MIDDLE, 1.0)], others_expected=0, others_sold=0)
        assert found.slope_se == pytest.approx(math.sqrt(self.MIDDLE) / abs(moved))

    def test_nothing_sold_and_nothing_expected_says_nothing(self):
        found = judge([], others_expected=0, others_sold=0)
        assert (found.bias, found.slope, found.slope_se, found.margin_minor) == (None, None, None, 0)
