"""Measured claims: `python -m benchmarks NAME`; the last line printed is one JSON object."""

import importlib
import sys

NAMES = ("ingest", "recommend", "serve", "refresh", "chaos", "checkout", "offers", "prices", "pricing")
USAGE = f"usage: python -m benchmarks {{{'|'.join(NAMES)}}} [--help] [options of that benchmark]"


def main(arguments: list[str]) -> int:
    if arguments[:1] in ([], ["-h"], ["--help"]):
        print(__doc__, USAGE, sep="\n\n", file=sys.stderr)
        return 0 if arguments else 2
    name, *options = arguments
    if name not in NAMES:
        print(f"{name} is no benchmark\n{USAGE}", file=sys.stderr)
        return 2
    found = importlib.import_module(f"benchmarks.{name}").main(options)
    return found if isinstance(found, int) else 0  # others measure and promise nothing that could be broken


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
