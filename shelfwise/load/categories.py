"""Category paths as the shop's tree."""

import duckdb

# Parents are paths too; depth orders them so that a parent is there before its children.
TREE = """
create table shop.new_categories as
with recursive paths(path) as (
    select distinct category from {relation} where category <> ''
    union
    select regexp_replace(path, '/[^/]*$', '') from paths where contains(path, '/')
)
select path, loaded_id('shop', 'category', path) as category_id
from paths anti join known_categories using (path)
"""

# The shop's own tree, then ours: a path belongs to the shop, not to a source.
ALL = """
create table shop.categories as
from known_categories union all by name from shop.new_categories
"""

ROWS = """
create view shop.category_rows as
select n.category_id, n.path, regexp_extract(n.path, '[^/]*$') as name, parent.category_id as parent_id
from shop.new_categories n
left join shop.categories parent on parent.path = regexp_replace(n.path, '/[^/]*$', '') and contains(n.path, '/')
order by len(string_split(n.path, '/')), n.path
"""


def stage_categories(duck: duckdb.DuckDBPyConnection, relation: str) -> None:
    """`shop.categories` (path, id) and `shop.category_rows`, those that the shop lacks, from `relation.category`."""
    duck.execute(TREE.format(relation=relation))
    duck.execute(ALL)
    duck.execute(ROWS)
