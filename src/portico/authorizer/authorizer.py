"""The inbound authorizer: the one place where a :class:`~portico.model.principal.Principal` is made."""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final, assert_never

from portico.authorizer.keys import IssuerKeys, KeySource
from portico.authorizer.revocations import RevocationSource
from portico.authorizer.rules import OTHER_CLIENT_CLAIMS, judge
from portico.authorizer.sigv4 import Signatures
from portico.authorizer.token_cache import MAX_TOKENS, CachedToken, TokenCache
from portico.crypto.sigv4 import SignedRequest
from portico.model import gateway
from portico.model.access_key import AccessKey
from portico.model.errors import Forbidden, InvalidToken, MissingSignature, MissingToken
from portico.model.principal import ANONYMOUS, Principal
from portico.oauth.access_token import AccessToken, check_time, read_access_token
from portico.oauth.jwt import MAX_TOKEN_BYTES, parse, quoted, refused, verify
from portico.web.exchange import Exchange

MAX_SIGNED_BYTES: Final = 6 * 1024 * 1024  #: of a signed body (AgentCore quota for a payload)
_SCHEME: Final = b"bearer "


class Authorizer:
    """Turns a request into a caller, by the rules of one gateway.

    A token that was verified before costs a digest, a look-up and the rules; nothing is awaited in earnest then.
    """

    def __init__(
        self,
        *,
        keys: KeySource,
        revocations: RevocationSource,
        signatures: Signatures | None = None,
        max_tokens: int = MAX_TOKENS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what callers prove themselves by; without ``signatures`` gateways that ask for one refuse everybody."""
        self._keys = keys
        self._revocations = revocations
        self._signatures = signatures
        self._cache = TokenCache(max_tokens)
        self._clock = clock

    async def authenticate(
        self,
        rules: gateway.Authorizer,
        *,
        audience: frozenset[str],
        authorization: bytes | None,
        request: Exchange | None = None,
    ) -> Principal:
        """Return who calls.

        ``audience`` are the resources of the endpoint; ``authorization`` is the value of the only header of that
        name, None when there is none; ``request`` is what a signature would cover, without it no signature is seen.
        With authorizer ``NONE`` everyone is anonymous, whatever was sent.

        Raises:
            MissingToken: no header.
            InvalidToken: not a token of the gateway's issuer for this audience that holds now.
            InsufficientScope: the token's client, scopes or claims are not what the gateway asks for.
            KeysUnavailable: the issuer's keys cannot be had.
            SignatureRefused: the gateway asks for a signature, and there is none that counts.
            Forbidden: the access key that signed may not invoke this gateway.
        """
        match rules:
            case gateway.JwtAuthorizer():
                return await self._by_token(rules, audience, authorization)
            case gateway.IamAuthorizer() | gateway.AuthenticateOnlyAuthorizer():
                return await self._by_signature(rules, request)
            case gateway.NoAuthorizer():
                return ANONYMOUS
            case _:
                assert_never(rules)

    async def issuer_of(self, rules: gateway.JwtAuthorizer) -> str:
        """Return the issuer behind a gateway's ``discoveryUrl``, byte for byte as in its own metadata.

        Raises:
            KeysUnavailable: it cannot be had.
        """
        return (await self._keys.keys_for(rules.discovery_url)).issuer

    def cached(self) -> int:
        """Return how many verified tokens are in memory."""
        return len(self._cache)

    async def _by_token(
        self, rules: gateway.JwtAuthorizer, audience: frozenset[str], authorization: bytes | None
    ) -> Principal:
        token = bearer_token(authorization)
        digest = sha256(token).digest()
        keys = await self._keys.keys_for(rules.discovery_url)
        known = self._cache.get(digest)
        if known is None or not known.holds(keys):
            known = await self._verify(rules.discovery_url, token)
            self._cache.put(digest, known, self._clock())
        try:
            self._judge_now(known, digest)
            judge(rules, known.token, audience=audience, own=known.own)
        except (InvalidToken, Forbidden) as refusal:
            refusal.caller = known.principal
            raise
        return known.principal

    async def _by_signature(
        self, rules: gateway.IamAuthorizer | gateway.AuthenticateOnlyAuthorizer, request: Exchange | None
    ) -> Principal:
        """Judge a signature; its header first, so that nobody makes us read a body with one that cannot count."""
        if self._signatures is None or request is None:
            raise MissingSignature("Missing Authentication Token", detail="signatures are not verified here")
        unproven = self._signatures.begin(signed_request(request))
        key = unproven.prove(await request.body(MAX_SIGNED_BYTES))
        caller = _key_principal(key)
        if isinstance(rules, gateway.IamAuthorizer) and not key.may_invoke(rules.gateway_id):
            refusal = Forbidden(
                f"User: {key.arn} is not authorized to perform: bedrock-agentcore:InvokeGateway on this gateway.",
                debug_hint=f"The access key's role is {key.role}, and it is confined to "
                f"{', '.join(sorted(key.gateways)) or 'no gateways'}.",
            )
            refusal.caller = caller
            raise refusal
        return caller

    async def _verify(self, discovery_url: str, token: bytes) -> CachedToken:
        unverified = parse(token)
        keys = await self._keys.keys_for(discovery_url, kid=unverified.kid)
        key = keys.find(unverified.kid, unverified.alg)
        if key is None:
            raise refused(_no_key_hint(unverified.kid, keys))
        access_token = read_access_token(verify(unverified, key), issuer=keys.issuer, own=keys.own)
        return CachedToken(
            kid=key.kid,
            thumbprint=key.thumbprint,
            own=keys.own,
            token=access_token,
            principal=_principal(access_token),
        )

    def _judge_now(self, known: CachedToken, digest: bytes) -> None:
        now = self._clock()
        if now >= known.token.expires_at:  # past it only the leeway is left: not worth a place
            self._cache.forget(digest)
        check_time(known.token, now)
        revoked = self._revocations.revoked_by(known.token.issuer, known.token.claims)
        if revoked is not None:
            raise refused(f"The token's {revoked} was revoked; log in again.")


def bearer_token(authorization: bytes | None) -> bytes:
    """Return the token of an ``Authorization`` header (RFC 6750 section 2.1).

    Raises:
        MissingToken: there is no header.
        InvalidToken: another scheme, nothing behind it, or more than any token needs.
    """
    if authorization is None:
        raise MissingToken("Send an access token: Authorization: Bearer <token>.")
    token = authorization[len(_SCHEME) :].strip(b" ")
    if authorization[: len(_SCHEME)].lower() != _SCHEME or not token:
        raise refused("The Authorization header must be `Bearer` and a token.")
    if len(token) > MAX_TOKEN_BYTES:
        raise refused(f"The token is longer than {MAX_TOKEN_BYTES} bytes.")
    return token


def signed_request(exchange: Exchange) -> SignedRequest:
    """Return what of an HTTP request a signature covers, apart from its body."""
    return SignedRequest(
        method=exchange.method, raw_path=exchange.raw_path, query=exchange.query, headers=exchange.headers
    )


def _key_principal(key: AccessKey) -> Principal:
    return Principal(kind="aws", issuer="", subject=key.arn, client_id=key.id)


def _principal(token: AccessToken) -> Principal:
    """A machine's token names the client as its subject (RFC 9068 section 2.2), or names no subject at all.

    The principal's client is whoever the token names, for the record; ``allowedClients`` compares ``client_id`` alone.
    """
    named = [token.client_id, *(token.claims.get(name) for name in OTHER_CLIENT_CLAIMS)]
    client_id = next((name for name in named if isinstance(name, str) and name), "")
    subject = token.subject or client_id
    if not subject:
        raise refused("The token names neither a subject (sub) nor a client (client_id).")
    return Principal(
        kind="machine" if subject == client_id else "user",
        issuer=token.issuer,
        subject=subject,
        client_id=client_id,
        scopes=token.scopes,
        expires_at=int(token.expires_at),
        claims=token.claims,
    )


def _no_key_hint(kid: str, keys: IssuerKeys) -> str:
    if not kid:
        return f"The token names no kid and the issuer {keys.issuer!r} has several keys or none for its algorithm."
    return f"The token's kid {quoted(kid)} is not a key of the issuer {keys.issuer!r}; it may be from another issuer."
