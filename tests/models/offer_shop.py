"""SYNTHETIC: a small shop with campaigns, where those who bought with coupons use them again."""

import numpy as np

from models.offer_world import Addressed, Campaigns, Purchases, Redemptions, World

USERS, PRODUCTS, COUPONS = 200, 40, 10
FIRST_DAYS = (100, 160, 220, 280)  # of campaigns 0 to 3, thirty days each
FANS = 50  # users below this number buy with coupons, and use them


def world(seed=0):
    """Four campaigns to everybody with ten coupons for four products each; fans use some, of products they buy."""
    draw = np.random.default_rng(seed)
    user, product, day = (draw.integers(0, top, 12_000) for top in (USERS, PRODUCTS, 330))
    # A shopper buys of every tenth product more than of others.
    product = np.where(draw.random(12_000) < 0.6, user % 10 * 4 + product % 4, product)
    couponed = (user < FANS) & (draw.random(12_000) < 0.3)
    purchases = Purchases(user, product, user * 1000 + day, day, np.full(12_000, 250), couponed)
    campaigns = np.arange(len(FIRST_DAYS))
    first = np.array(FIRST_DAYS)
    plan = Campaigns(
        kind=campaigns % 2,
        first_day=first,
        last_day=first + 29,
        coupon_campaign=np.repeat(campaigns, COUPONS),
        pair_coupon=np.repeat(np.arange(len(campaigns) * COUPONS), 4),
        pair_product=np.tile(np.arange(PRODUCTS), len(campaigns)),
    )
    addressed = Addressed(np.tile(np.arange(USERS), len(campaigns)), np.repeat(campaigns, USERS))
    uses = draw.random(len(addressed.user)) < np.where(addressed.user < FANS, 0.7, 0.03)
    who, which = addressed.user[uses], addressed.campaign[uses]
    redemptions = Redemptions(who, which * COUPONS + who % 10, first[which] + draw.integers(0, 30, len(who)))
    return World(USERS, PRODUCTS, purchases, addressed, redemptions, plan)
