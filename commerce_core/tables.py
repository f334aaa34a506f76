"""Every table of the shop in one place, for whoever compares them with the migrations."""

from sqlalchemy import MetaData

import commerce_core.accounts.models
import commerce_core.audit.models
import commerce_core.cart.models
import commerce_core.catalog.models
import commerce_core.checkout.models
import commerce_core.consumers.models
import commerce_core.costs.models
import commerce_core.events.models
import commerce_core.fulfilment.models
import commerce_core.idempotency
import commerce_core.inventory.models
import commerce_core.invoices.models
import commerce_core.loads.models
import commerce_core.orders.models
import commerce_core.outbox.models
import commerce_core.payments.models
import commerce_core.pricebooks.models
import commerce_core.promotions.models
import commerce_core.sales.models
import commerce_core.users.models
import commerce_core.wishlist.models  # noqa: F401  importing a models module registers its tables
from commerce_core.db import Table

METADATA: MetaData = Table.metadata
