"""What may be exported: per table the columns, where its rows come from, and which instant or day places a row."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Export:
    """One exported table. Ids leave as text, instants in UTC; the day comes first.

    `place` is what a row's day follows from, `key` what shards are cut by, `span` the table that knows the first
    and last place without a join.
    """

    columns: str
    source: str
    place: str
    key: str
    span: str
    place_is_day: bool = False

    def day(self, place: str) -> str:
        """SQL for the UTC day of a place."""
        return place if self.place_is_day else f"({place} at time zone 'UTC')::date"

    def window(self, first: date, until: date) -> str:
        """SQL that keeps the days from `first` to the one before `until`, by bounds that an index on `place` serves."""
        bound = "date '{}'" if self.place_is_day else "timestamptz '{} 00:00:00+00'"
        return f"{self.place} >= {bound.format(first)} and {self.place} < {bound.format(until)}"

    def rows(self, first: date, until: date, shard: tuple[int, int] = (0, 1)) -> str:
        """SQL for the rows of some days, or for the share of them that a hash of the key gives to one shard."""
        share, shares = shard
        mine = f" and (uuid_hash_extended({self.key}, 0) & {(1 << 63) - 1}) % {shares} = {share}" if shares > 1 else ""
        where = f"{self.window(first, until)}{mine}"
        return f"select {self.day(self.place)} as day, {self.columns} from {self.source} where {where}"

    def counts(self, first: date, until: date) -> str:
        """SQL for the number of rows per day."""
        where = self.window(first, until)
        return f"select {self.day(self.place)} as day, count(*) from {self.source} where {where} group by 1 order by 1"

    def ends(self, until: date) -> str:
        """SQL for the first and last day with rows before `until`."""
        first, last = self.day(f"min({self.place})"), self.day(f"max({self.place})")
        return f"select {first}, {last} from {self.span} where {self.window(date.min, until)}"


EXPORTS = {
    "orders": Export(
        columns="""
            o.order_id::text as order_id, l.line_no, o.user_id::text as user_id, l.product_id::text as product_id,
            o.channel, l.quantity, l.list_total_minor, l.shelf_total_minor, l.paid_total_minor, o.currency,
            o.placed_at as ts""",
        source="orders o join order_lines l using (order_id)",
        place="o.placed_at",
        key="o.order_id",
        span="orders o",
    ),
    "order_status": Export(
        columns="s.order_id::text as order_id, s.status, s.at as ts",
        source="order_status_history s",
        place="s.at",
        key="s.order_id",
        span="order_status_history s",
    ),
    "clicks": Export(
        columns="""
            c.event_id::text as event_id, c.user_id::text as user_id, c.session_id, c.product_id::text as product_id,
            c.kind, c.ts, c.received_at, c.request_id, c.derived""",
        source="clicks c",
        place="c.day",
        key="c.event_id",
        span="clicks c",
        place_is_day=True,
    ),
    "catalog": Export(
        columns="""
            v.product_id::text as product_id, p.external_id, v.name, v.category, v.brand, v.size, v.description,
            v.status, v.recommendable, v.valid_from as ts""",
        source="product_versions v join products p using (product_id)",
        place="v.valid_from",
        key="v.product_id",
        span="product_versions v",
    ),
    "prices": Export(
        columns="h.product_id::text as product_id, h.list_price_minor, h.price_minor, h.currency, h.source, "
        "h.valid_from as ts",
        source="price_history h",
        place="h.valid_from",
        key="h.product_id",
        span="price_history h",
    ),
    "promotions": Export(
        columns="r.product_id::text as product_id, r.kind, r.place, r.channels, r.starts_on, r.ends_on",
        source="promotions r",
        place="r.starts_on",
        key="r.product_id",
        span="promotions r",
        place_is_day=True,
    ),
    "costs": Export(
        columns="c.product_id::text as product_id, c.cost_minor, c.currency, c.source, c.valid_from, c.known_at as ts",
        source="product_costs c",
        place="c.known_at",
        key="c.product_id",
        span="product_costs c",
    ),
    "advertised_minimums": Export(
        columns="m.product_id::text as product_id, m.minimum_minor, m.currency, m.source, m.valid_from, "
        "m.known_at as ts",
        source="advertised_minimums m",
        place="m.known_at",
        key="m.product_id",
        span="advertised_minimums m",
    ),
    "campaign_users": Export(
        columns="c.campaign_id::text as campaign_id, c.kind, c.starts_on, c.ends_on, u.user_id::text as user_id",
        source="campaigns c join campaign_users u using (campaign_id)",
        place="c.starts_on",
        key="u.user_id",
        span="campaigns c",
        place_is_day=True,
    ),
    "campaign_coupons": Export(
        columns="c.campaign_id::text as campaign_id, k.coupon_id::text as coupon_id, p.product_id::text as product_id",
        source="campaigns c join coupons k using (campaign_id) join coupon_products p using (coupon_id)",
        place="c.starts_on",
        key="k.coupon_id",
        span="campaigns c",
        place_is_day=True,
    ),
    "coupon_redemptions": Export(
        columns="r.coupon_id::text as coupon_id, r.user_id::text as user_id",
        source="coupon_redemptions r",
        place="r.redeemed_on",
        key="r.coupon_id",
        span="coupon_redemptions r",
        place_is_day=True,
    ),
    "shopper_groups": Export(
        columns="g.user_id::text as user_id, g.attribute, g.value",
        source="(select user_id, created_at, key as attribute, value from users, jsonb_each_text(attributes)"
        " where value is not null) g",
        place="g.created_at",
        key="g.user_id",
        span="users g",
    ),
}
