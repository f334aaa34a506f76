"""Runs one of our web applications on a socket that the supervisor has opened: `python -m shelfwise.local.web`.

The socket stays open while a process is replaced, so a restart lets clients wait instead of refusing them, and several
processes share one port.
"""

import argparse
import os
import socket

import uvicorn


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("app", help="module:function that makes the application")
    parser.add_argument("--instance", action="store_true", help="the name is the application itself")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket, inherited")
    parser.add_argument("--migrate", action="store_true", help="bring the shop's database to the newest schema first")
    arguments = parser.parse_args()
    if arguments.migrate:
        from commerce_core.migrate import upgrade

        upgrade(os.environ["DATABASE_URL"])
    config = uvicorn.Config(
        arguments.app, factory=not arguments.instance, access_log=False, timeout_graceful_shutdown=10
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=arguments.fd)])


if __name__ == "__main__":
    main()
