"""Ports for servers of tests."""

import contextlib
import random
import socket


def free_port() -> int:
    """Return a free port below those that the system gives to connections, which could take it before a server does."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
