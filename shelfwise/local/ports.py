"""Ports of the local stack: is this one free, and who has it otherwise."""

import os
import socket
from contextlib import suppress

import psutil

from shelfwise.local.processes import StartError

HOST = "127.0.0.1"


def listen(port: int, name: str, variable: str) -> socket.socket:
    """The bound and listening socket of that port; StartError naming its holder and what to change."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((HOST, port))
        server.listen(2048)
    except OSError as error:
        server.close()
        raise StartError(
            f"port {port} of {name} cannot be used ({os.strerror(error.errno or 0)}{holder(port)}). "
            f"Set {variable} to another one"
        ) from None
    return server


def holder(port: int) -> str:
    """Who listens there, as far as we may know."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f", held by process {connection.pid}: {command[:120]}"
    return ""
