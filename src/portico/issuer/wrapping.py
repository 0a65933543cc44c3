"""The provider's access token behind one of ours: sealed into a claim, or kept in the store where that is too long."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from portico.crypto.keyring import Keyring
from portico.issuer.remembered import Remembered
from portico.model.errors import SealError
from portico.model.oauth_errors import ServerError
from portico.model.secret import Secret
from portico.oauth.jwt import refused
from portico.oauth.token import token_digest

UPSTREAM: Final = "upstream"  #: the claim that holds the provider's access token, sealed
KEPT: Final = "upstream_kept"  #: the claim of a token whose provider's one lies in the store
MAX_WRAPPED_CHARS: Final = 8 * 1024  #: of a whole token; servers and proxies refuse longer headers
MAX_IN_MEMORY: Final = 2_000  #: kept tokens that this process has read; some 10 KB each

_PURPOSE: Final = "upstream-token"  #: of the seal; the issuer's URL and the token's ``jti`` are its associated data
_KIND: Final = "wrapped"

Sign = Callable[[dict[str, Any]], str]


class Wrapping:
    """Puts provider's tokens into ours and takes them out again."""

    def __init__(
        self,
        keyring: Keyring,
        remembered: Remembered,
        *,
        random: Callable[[int], bytes],
    ) -> None:
        self._keyring = keyring
        self._remembered = remembered
        self._random = random
        self._read: OrderedDict[str, str] = OrderedDict()  # jti → sealed token

    async def wrap(self, claims: dict[str, Any], token: Secret, sign: Sign) -> str:
        """Return a signed token of ours with the provider's ``token`` behind it.

        Raises:
            ServerError: it is too long and there is no store.
            StorageUnavailable: the store cannot be reached.
        """
        aad = _associated(claims["iss"], claims["jti"])
        sealed = self._keyring.seal(_PURPOSE, token.reveal().encode(), aad=aad, random=self._random)
        wrapped = sign({**claims, UPSTREAM: sealed})
        if len(wrapped) <= MAX_WRAPPED_CHARS:
            return wrapped
        if not self._remembered.shared:
            raise ServerError(
                f"The provider's access token makes ours {len(wrapped)} characters long, over the limit of "
                f"{MAX_WRAPPED_CHARS}. Ask the administrator to set `store`, or `tokens: passthrough`."
            )
        digest = token_digest(claims["jti"])
        await self._remembered.spend(digest, _KIND, int(claims["exp"]))
        await self._remembered.keep_outcome(digest, sealed)
        return sign({**claims, KEPT: True})

    async def unwrap(self, issuer: str, claims: Mapping[str, Any]) -> Secret:
        """Return the provider's access token behind a verified one of ours; a kept one is read once and remembered.

        Raises:
            InvalidToken: there is none, or its sealing key was dropped; log in again.
            StorageUnavailable: the store cannot be reached.
        """
        token_id, sealed = str(claims.get("jti", "")), claims.get(UPSTREAM)
        if sealed is None and claims.get(KEPT) is True:
            sealed = await self._kept(token_id)
        if not isinstance(sealed, str):
            raise refused("The token holds nothing for the server behind this gateway; log in again.")
        try:
            return Secret(self._keyring.open(_PURPOSE, sealed, aad=_associated(issuer, token_id)).decode())
        except SealError as error:
            raise refused("The token was sealed by a key that is gone; log in again.") from error

    async def _kept(self, token_id: str) -> str | None:
        known = self._read.get(token_id)
        if known is None:
            row = await self._remembered.look_up(token_digest(token_id))
            if row is None or not row.outcome:
                return None
            known = self._read[token_id] = row.outcome
            while len(self._read) > MAX_IN_MEMORY:
                self._read.popitem(last=False)
        return known


def _associated(issuer: str, token_id: str) -> bytes:
    return f"{issuer}|{token_id}".encode()
