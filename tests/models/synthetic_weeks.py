"""Synthetic demand whose price effects are known: nothing of it was ever sold."""

import numpy as np

from models.elasticity import DISCOUNT, DISPLAY, MAILER, REGULAR, Weeks

TRUTH = {REGULAR: -0.4, DISCOUNT: -1.5, DISPLAY: 1.0, MAILER: 0.3}
MONDAY = np.datetime64("2017-01-02")


def synthetic(seed, products=120, weeks=52, level=30.0, truth=TRUTH, discounts=None, swing=0.0, scatter=0.0):
    """Synthetic demand: each product has its own level, price history and promotions; Poisson around the truth.

    `discounts`: true discount effect per product instead of the common one. `swing`: log demand that every other month
    brings everybody, and most discounts with it. `scatter`: deviation of the log mean beyond Poisson.
    """
    rng = np.random.default_rng(seed)
    shape = (products, weeks)
    steps = rng.choice([-0.1, 0.0, 0.0, 0.0, 0.0, 0.1], shape)
    regular = np.round(400 * np.exp(steps.cumsum(axis=1)))
    promoted = rng.random(shape) < 0.2
    season = np.arange(weeks) // 4 % 2
    chance = np.where(promoted, 0.9, 0.15 + (0.5 * season if swing else 0.0))
    cut = np.where(rng.random(shape) < chance, rng.choice([0.1, 0.2, 0.3], shape), 0.0)
    price = np.round(regular * (1 - cut))
    display = np.where(promoted, rng.choice([0.0, 0.5, 1.0], shape), 0.0)
    mailer = np.where(promoted, rng.choice([0.0, 1.0], shape), 0.0)
    discount = np.full(products, truth[DISCOUNT]) if discounts is None else np.asarray(discounts)
    mean = level * np.exp(
        rng.normal(0, 0.5, (products, 1))
        + swing * season
        + rng.normal(0, scatter, shape)
        + truth[REGULAR] * np.log(regular / 400)
        + discount[:, None] * np.log(price / regular)
        + truth[DISPLAY] * display
        + truth[MAILER] * mailer
    )
    names = np.array([f"p{n:03d}" for n in range(products)])
    paths = np.array([f"d{n % 2}/c{n % 6}" for n in range(products)])
    return Weeks(
        product_id=names,
        category=paths,
        department=np.array([path[:2] for path in paths]),
        product=np.repeat(np.arange(products), weeks),
        week_start=np.tile(MONDAY + 7 * np.arange(weeks), products),
        units=rng.poisson(mean).ravel(),
        list_price_minor=regular.ravel().astype(np.int64),
        price_minor=price.ravel().astype(np.int64),
        display_share=display.ravel(),
        mailer_share=mailer.ravel(),
    )
