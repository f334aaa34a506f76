"""`python -m shelfwise`, the same as `shelfwise`."""

from shelfwise.cli import main

main()
