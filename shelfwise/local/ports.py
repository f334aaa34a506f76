"""Ports of the local stack: is this one free, who has it otherwise, and does the server behind it answer."""

import os
import select
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
                command = " ".join(" ".join(psutil.Process(connection.pid).cmdline()).split())
                return f", held by process {connection.pid}: {command[:120]}"
    return ""


class Probe:
    """Called again and again: has the server behind the port answered this path with 200 by now?

    It never waits. One request at a time stands in the socket's queue, however long the server takes to come.
    """

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
        self._asked: socket.socket | None = None

    def __call__(self) -> bool:
        try:
            if self._asked is None:
                self._asked = socket.create_connection((HOST, self._port), timeout=1)
                self._asked.sendall(self._request)
            if not select.select([self._asked], [], [], 0)[0]:
                return False
            answer = self._asked.recv(64)
        except OSError:
            answer = b""
        if self._asked is not None:
            self._asked.close()
            self._asked = None
        return answer.partition(b" ")[2].startswith(b"200")
