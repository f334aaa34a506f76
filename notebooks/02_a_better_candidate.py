# %% [markdown]
# # A better candidate
#
# From an idea to a challenger beside the live recommender: learn as of an earlier day, choose among ideas on the window
# after it, judge the chosen one against the champion on weeks that neither saw, register it, publish it, look at it.
#
# `python notebooks/02_a_better_candidate.py` runs it whole. It needs the day's models and the stack: `KEEP=1
# make demo`, or `shelfwise up --detach` over what a demo left.

# %%
import os
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb

from contracts import conf
from contracts.tables import PRODUCTS, USER_LISTS
from models.blend import candidates, rank
from models.evaluate import K, Tally
from models.params import ModelParams
from models.ranker import Rankers
from models.recommender import Recommender
from pipelines import challenge, learning, publish
from pipelines.evaluate import CERTAIN
from pipelines.generation import connect
from pipelines.lake import Lake
from pipelines.past import Past
from pipelines.settings import Settings
from pipelines.spark import session
from pipelines.tracking import Tracking
from pipelines.train import HELD_OUT, LIVE, NAME, READS
from shelfwise.local import environment

environment.load(environment.stack_env(Path(os.environ.get("DATA_DIR", ".data"))))
settings = Settings()
spark, lake, tracking = session(settings), Lake(settings.lake_uri), Tracking(settings.mlflow_tracking_uri)
day = max(lake.days(USER_LISTS))
only = (day, day + timedelta(days=1))
champion = tracking.champion(NAME)
with tracking.folder(champion) as folder:
    held_out, live = Recommender.load(folder / HELD_OUT), Recommender.load(folder / LIVE)
print(f"version {champion.number} of {NAME} serves, as known at the end of {day}")

# %% [markdown]
# Three ideas about the shelf `for_you`. What the blend's settings mean is said in `models/recommender.py`; another
# source is a voice of `models/voices.py`, written there and weighed here. Trees, where the champion has them, stay out:
# ideas are judged as blends.

# %%
blend = held_out.blend
shelf = blend.slots["for_you"]
louder = replace(shelf, collaborative=2 * shelf.collaborative)
ideas = {
    "as it is": blend,
    "old orders count for more": replace(blend, memory=3 * blend.memory),
    "old orders count for nothing": replace(blend, memory=0.0),
    "what goes with it counts double": replace(blend, slots=blend.slots | {"for_you": louder}),
}

# %% [markdown]
# Choose on the window before the one that was held out: four weeks, by a recommender learned before them. On the same
# shoppers all differences are paired, which is why their errors are so much smaller than those of the means.

# %%
params = conf.load("models", ModelParams)
params = replace(params, ranker=replace(params.ranker, windows=0))
past = Past.before(spark, lake, only[1], params, f"{settings.lake_uri}/checkpoints")
held_from = only[1] - timedelta(days=params.tuning.window_days)
chosen_from = held_from - timedelta(days=params.tuning.window_days)
earlier = past.recommender(chosen_from, blend, Rankers.none())
assert earlier is not None, f"nothing was bought before {chosen_from}"

every = {name: {"blend": idea, "rankers": Rankers.none()} for name, idea in ideas.items()}
judge = lambda model, shoppers, truth: {  # noqa: E731  (travels to Spark's tasks as it stands here)
    "next": Tally.of(
        {
            name: rank(version, shoppers, candidates(version, shoppers), ("for_you",), K)["for_you"].items
            for name, version in ((name, replace(model, **parts)) for name, parts in every.items())
        },
        truth,
    )
}
tally = learning.tallied(past.window(chosen_from), earlier, judge)["next"]
print(f"{chosen_from} to {held_from - timedelta(days=1)}, {tally.shoppers} shoppers")
print(f"  nDCG@10 {tally.mean('as it is'):.4f} ± {tally.error('as it is'):.4f}  as it is")
others = [name for name in ideas if name != "as it is"]
for name in others:
    gain, error = tally.difference(name, "as it is")
    print(f"  {gain:+.4f} ± {error:.4f}  {name}")
chosen = max(others, key=tally.mean)

# %% [markdown]
# Judge the chosen one, and no other, on the held-out weeks, against the champion as it serves. It was chosen on the
# weeks before, so it cannot have been fitted to these.

# %%
every = {
    "champion": {"blend": held_out.blend, "rankers": held_out.rankers},
    chosen: {"blend": ideas[chosen], "rankers": Rankers.none()},
}
tally = learning.tallied(past.window(held_from), held_out, judge)["next"]
gain, error = tally.difference(chosen, "champion")
print(f"{held_from} to {day}, {tally.shoppers} shoppers: {chosen}")
print(f"  nDCG@10 {tally.mean(chosen):.4f}, the champion's {tally.mean('champion'):.4f}: {gain:+.4f} ± {error:.4f}")
if gain - CERTAIN * error > 0:
    print("  better by more than chance")
elif gain + CERTAIN * error < 0:
    print("  worse by more than chance: what follows is for the exercise")
else:
    print("  the past cannot tell them apart; an experiment might")

# %% [markdown]
# Register it: what would serve, what was judged, and from which versions of which tables. Without the tag `day` of a
# night's own model, so that running the night's `evaluate` again does not take it for that.

# %%
tables = {table.path: lake.version(table) for table in READS}
with tempfile.TemporaryDirectory() as scratch, tracking.run("challenge", day=day, tables=tables) as run:
    for name, recommender in ((LIVE, live), (HELD_OUT, held_out)):
        replace(recommender, blend=ideas[chosen], rankers=Rankers.none()).save(Path(scratch) / name)
    run.params({"idea": chosen, "memory": ideas[chosen].memory, "weights.for_you": ideas[chosen].slots["for_you"]})
    run.metrics({"next.gain.ndcg10": gain, "next.gain.ndcg10_error": error})
    run.model(Path(scratch))
    version = tracking.register(NAME, run, tags={"idea": chosen, "beside": champion.number})
print(f"version {version.number} of {NAME}: {chosen}")

# %% [markdown]
# Publish it beside the live generation; `shelfwise challenger publish --day … --version …` does the same. From then on
# visitors of the challenger's arm see it, a share that `conf/experiments.toml` sets: 0 until somebody decides.

# %%
theirs = lake.arrow(USER_LISTS, days=only)
report = challenge.run(day, int(version.number), settings)
ours = lake.arrow(USER_LISTS, days=only)
redis = connect(settings.redis_url)
print(f"live {publish.live_generation(redis)}, challenger {challenge.challenging(redis)}")

# %% [markdown]
# How much would visitors see of it?

# %%
products = lake.arrow(PRODUCTS, days=only, columns=["product_id", "name"])
lists = duckdb.sql("""
    select theirs.user_id, theirs.product_ids[1:10] as champion, ours.product_ids[1:10] as challenger,
           len(list_intersect(theirs.product_ids[1:10], ours.product_ids[1:10])) as shared
    from theirs join ours using (user_id, slot) where slot = 'for_you'
""")
duckdb.sql("select shared, count(*) as shoppers from lists group by shared order by shared desc").show()

# %% [markdown]
# The shopper whose list changes most:

# %%
duckdb.sql("""
    with one as (select * from lists order by shared, user_id limit 1),
    places as (
        select unnest(champion) as was, unnest(challenger) as is_now, generate_subscripts(champion, 1) as place from one
    )
    select place, a.name as champion, b.name as challenger from places
    left join products a on a.product_id = was left join products b on b.product_id = is_now order by place
""").show()

# %% [markdown]
# While it is shown, `_reports/attribute/<day>.json` in the lake says how the arms do, eight days behind. When it is
# over, `shelfwise challenger withdraw`. The day's lists in the lake are the challenger's until the day is published
# again, so that comes last.

# %%
challenge.withdraw(settings)
publish.run(day, settings)
print(f"live {publish.live_generation(redis)}, challenger {challenge.challenging(redis)}")
