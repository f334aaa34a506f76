"""Measured claims: `python -m benchmarks ingest|recommend|serve|refresh|chaos`; the last line printed is one JSON
object."""

import importlib
import sys

NAMES = ("ingest", "recommend", "serve", "refresh", "chaos")
USAGE = f"usage: python -m benchmarks {{{'|'.join(NAMES)}}} [--help] [options of that benchmark]"


def main(arguments: list[str]) -> int:
    if arguments[:1] in ([], ["-h"], ["--help"]):
        print(__doc__, USAGE, sep="\n\n", file=sys.stderr)
        return 0 if arguments else 2
    name, *options = arguments
    if name not in NAMES:
        print(f"{name} is no benchmark\n{USAGE}", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"benchmarks.{name}").main(options) or 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
