"""No price without its row in the history: a change that wrote none, such as an edit by hand, is logged at commit."""

from alembic import op

revision = "0011"
down_revision = "0010"

# Deferred: who changes a price and writes its row does so in either order.
LOG_PRICE = """
create function log_price() returns trigger language plpgsql as $$
declare
    held products%rowtype;
    logged price_history%rowtype;
begin
    select * into held from products where product_id = new.product_id;
    select * into logged from price_history where product_id = new.product_id order by valid_from desc limit 1;
    if held.price_minor is not null
        and (held.price_minor, coalesce(held.list_price_minor, held.price_minor), held.currency)
            is distinct from (logged.price_minor, logged.list_price_minor, logged.currency) then
        insert into price_history (product_id, valid_from, list_price_minor, price_minor, currency, source)
        values (held.product_id, clock_timestamp(), coalesce(held.list_price_minor, held.price_minor), held.price_minor,
                held.currency, 'unlogged');
    end if;
    return null;
end $$
"""
TRIGGER = """
create constraint trigger products_log_price after update on products deferrable initially deferred for each row
when ((old.price_minor, old.list_price_minor, old.currency)
      is distinct from (new.price_minor, new.list_price_minor, new.currency))
execute function log_price()
"""


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in (LOG_PRICE, TRIGGER):
        run(statement)
