"""The shop's own consumers of events, by name."""

from commerce_core.consumers.consumer import Consumer
from commerce_core.orders.states import TOPIC as ORDERS
from commerce_core.sales import service as sales

CONSUMERS = {
    consumer.name: consumer
    for consumer in (Consumer(name="product_sales", topics=(ORDERS,), take=sales.take, reset=sales.reset),)
}
