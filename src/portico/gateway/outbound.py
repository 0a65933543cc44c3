"""What goes to a target beside the message: its credential, and what of the caller's request may be passed on.

Both concern few targets; a call of another one does not come here. A target's refusal of its credential becomes an
error that says what to look at, and a token that was refused with 401, by which nothing was done, is fetched anew and
tried once more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from portico.gateway.passing import Passed, passed_on
from portico.gateway.request import Request
from portico.identity.credentials import Credentials
from portico.identity.exchange import FAILED
from portico.model.credential import ClientCredentialsUse, Credential
from portico.model.errors import CredentialRefused, CredentialUnavailable, UpstreamStatus
from portico.model.target import Target
from portico.targets.credentialed import refusal_of

_Answer = TypeVar("_Answer")

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403


def passed_to(request: Request, target: Target) -> Passed:
    """Return what of the caller's request goes on to ``target``.

    Raises:
        RpcRefused: it must not.
    """
    return passed_on(target.propagation, request.exchange.headers, request.exchange.query)


class Outbound:
    """Asks targets with what they want to be asked with."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def ask(
        self, target: Target, passed: Passed, send: Callable[[Credential | None], Awaitable[_Answer]]
    ) -> _Answer:
        """Return what ``send`` returns; it gets what is to be added to every request.

        ``send`` is called again with another credential when the target refused the first one.

        Raises:
            CredentialUnavailable: the credential cannot be had; nothing was sent.
            CredentialRefused: the target refuses it.
        """
        credential = await self._credential(target, None)
        try:
            return await send(_attached(credential, passed))
        except UpstreamStatus as error:
            if credential is None or error.http_status != _UNAUTHORIZED:
                raise explained(error, credential) from error
            refusal = error
        other = await self._credential(target, credential)
        if other is None:
            raise explained(refusal, credential) from refusal
        try:
            return await send(_attached(other, passed))
        except UpstreamStatus as error:
            raise explained(error, other) from error

    async def _credential(self, target: Target, refused: Credential | None) -> Credential | None:
        """Return the credential, or another one than that which was refused; within the time that a call may take."""
        if target.credential is None:
            return None
        seconds = target.call_timeout
        try:
            async with asyncio.timeout(seconds):
                if refused is not None:
                    return await self._credentials.renewed(target, refused)
                return await self._credentials.credential_for(target)
        except TimeoutError as error:
            what = FAILED if isinstance(target.credential, ClientCredentialsUse) else "The API key cannot be had"
            advice = "Check that the provider's server is up and fast, or raise the target's x-portico.callTimeout."
            raise CredentialUnavailable(f"{what}: it took longer than {seconds:g} s. {advice}") from error


def explained(error: UpstreamStatus, credential: Credential | None) -> UpstreamStatus | CredentialRefused:
    """Return the error for a target that turned a request away; ``credential`` is what the request bore.

    Only 401 and 403 say something of credentials.
    """
    if error.http_status not in (_UNAUTHORIZED, _FORBIDDEN):
        return error
    public = error.public
    if credential is not None:
        public = f"The target refuses the gateway's credential (HTTP {error.http_status})."
    return CredentialRefused(public, refusal_of(credential))


def _attached(credential: Credential | None, passed: Passed) -> Credential | None:
    if not passed.headers and not passed.query:
        return credential
    if credential is None:
        return Credential(headers=passed.headers, query=passed.query)
    return replace(credential, headers=(*passed.headers, *credential.headers), query=(*passed.query, *credential.query))
