"""Requests to a target with what is added to them: one wrapper around the relay, so that no message goes without it."""

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlencode

from portico.model.credential import Credential
from portico.net.relay import Peer, Response, Timeouts


class Sender(Protocol):
    """What sends requests to targets: the relay, or one with a credential around it."""

    async def send(
        self,
        peer: Peer,
        method: bytes,
        path: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        timeouts: Timeouts,
        repeatable: bool = False,
    ) -> Response:
        """Send one request; see :meth:`portico.net.relay.Relay.send`."""
        ...


class Credentialed:
    """Adds a credential to every request."""

    def __init__(self, sender: Sender, credential: Credential) -> None:
        self._sender = sender
        self._credential = credential

    async def send(
        self,
        peer: Peer,
        method: bytes,
        path: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        timeouts: Timeouts,
        repeatable: bool = False,
    ) -> Response:
        """Send one request with the credential; see :meth:`portico.net.relay.Relay.send`."""
        return await self._sender.send(
            peer,
            method,
            path_with(path, self._credential),
            (*headers, *self._credential.headers),
            body,
            timeouts=timeouts,
            repeatable=repeatable,
        )


def sender_with(sender: Sender, attached: Credential | None) -> Sender:
    """Return what sends requests with what is to be added to them."""
    return sender if attached is None else Credentialed(sender, attached)


def refusal_of(credential: Credential | None) -> str:
    """Say what to look at when a target answers 401 or 403 to what it was sent."""
    if credential is None:
        return "The gateway calls the target with no credential; give it one (credentialProviderConfigurations)."
    sentence = (
        "The target refuses the gateway's credential. Check that it is meant for this target: of a token its audience "
        "(customParameters) and scopes, of an API key its value and where it stands."
    )
    return f"{sentence} {credential.about}" if credential.about else sentence


def path_with(path: bytes, credential: Credential) -> bytes:
    """Return path and query with the credential's own parameters at the end."""
    if not credential.query:
        return path
    return b"%b%b%b" % (path, b"&" if b"?" in path else b"?", urlencode(credential.query).encode())
