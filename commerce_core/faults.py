"""Where a process may die at the worst moment, for the tests that make it: SIGKILL, as the kernel would.

The steps of a checkout, and of an event on its way, lie between commits and questions to others; after each of them
stands `reached`.
"""

import os
import signal

# In the order in which a checkout passes them.
POINTS = ("placed", "payment_begun", "charged", "settled", "webhook_kept", "webhook_handled")
# Published and not yet taken from the outbox; kept in a consumer's inbox and not yet acknowledged; done, not committed.
EVENT_POINTS = ("published", "kept", "done")


def reached(point: str) -> None:
    """The process is past `point`, and ends here when FAULT_POINT of its environment says so."""
    if os.environ.get("FAULT_POINT") == point:
        os.kill(os.getpid(), signal.SIGKILL)
