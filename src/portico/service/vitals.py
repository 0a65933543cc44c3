"""``/vitals`` on the administrator's address: what a leak would show in. Counts only, no names."""

import asyncio
import os
from typing import Final

import msgspec

from portico.net.relay import Relay
from portico.targets.sessions import UpstreamSessions
from portico.web.asgi import Receive, Scope, Send, send_response

VITALS_PATH: Final = "/vitals"


class Vitals:
    """Plain ASGI for the one path; answers for this process, not for its siblings."""

    def __init__(self, *, relay: Relay, sessions: UpstreamSessions) -> None:
        self._relay = relay
        self._sessions = sessions

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        connections = self._relay.stats()
        content = {
            "pid": os.getpid(),
            "tasks": len(asyncio.all_tasks()),
            "upstream_sessions": self._sessions.count(),
            "upstream_connections": connections.open,
            "upstream_idle": connections.idle,
            "upstream_in_flight": connections.in_flight,
        }
        headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
        await send_response(send, 200, headers, msgspec.json.encode(content))
