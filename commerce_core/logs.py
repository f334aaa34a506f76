"""One JSON line per log event on stdout, alike in every process of the shop."""

import logging

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    # Without the variables of each line: passwords and addresses are among them.
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
    structlog.processors.JSONRenderer(),
]


def configure() -> None:
    """Set this process's logging up."""
    structlog.configure(processors=PROCESSORS, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
