"""A small identity provider on a real socket, with switches for its faults, and what signs tokens."""

import asyncio
import base64
import json
from collections import Counter

from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

NOW = 1_800_000_000.0

ALGORITHMS = ["ES256", "ES384", "RS256", "PS256"]


class FakeClock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


class Signer:
    """A signing key and the claims that its issuer usually puts into an access token."""

    def __init__(self, issuer, *, kid="k1", key=None, alg="ES256", **claims):
        self.key = key or (RSAKey.generate_key(2048) if alg != "ES256" else ECKey.generate_key("P-256"))
        self.kid, self.alg = kid, alg
        self.claims = {"iss": issuer, "sub": "alice", "iat": int(NOW), "exp": int(NOW) + 900, **claims}

    @property
    def jwk(self):
        return {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": self.alg}

    def token(self, *, header=None, without=(), **claims):
        protected = {"alg": self.alg, "kid": self.kid, "typ": "at+jwt", **(header or {})}
        body = {name: value for name, value in {**self.claims, **claims}.items() if name not in without}
        payload = json.dumps(body)
        return jws.serialize_compact(
            {name: value for name, value in protected.items() if value is not None},
            payload,
            self.key,
            algorithms=ALGORITHMS,
        ).encode()

    def sign(self, header, claims):
        """Sign what no library would."""
        parts = [_b64(json.dumps({"alg": self.alg, "kid": self.kid, **header})), _b64(json.dumps(claims))]
        signing_input = b".".join(parts)
        return signing_input + b"." + _b64(jws.JWSRegistry.algorithms[self.alg].sign(signing_input, self.key))


def _b64(value):
    raw = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def bearer(token):
    return b"Bearer " + token


class IdentityProvider:
    """Serves ``documents`` (path → JSON) and counts what was asked for; a ``fault`` spoils every answer."""

    def __init__(self):
        self.documents = {}
        self.hits = Counter()
        self.fault = ""
        self.hanging = asyncio.Event()  # a request is being held
        self.release = asyncio.Event()
        self._runner = None
        self.origin = ""

    async def start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0]
        self.origin = f"http://{host}:{port}"

    async def stop(self):
        self.release.set()
        await self._runner.cleanup()

    def publish(self, path="/t1", *, issuer=None, keys=(), form="{path}/.well-known/openid-configuration"):
        """Publish an issuer with ``path``; returns its discovery URL."""
        location = form.format(path=path)
        self.documents[location] = {
            "issuer": self.origin + path if issuer is None else issuer,
            "jwks_uri": f"{self.origin}{path}/jwks",
        }
        self.publish_keys(path, keys)
        return self.origin + location

    def publish_keys(self, path, keys):
        self.documents[f"{path}/jwks"] = {"keys": [key if isinstance(key, dict) else key.jwk for key in keys]}

    async def _answer(self, request):
        self.hits[request.path] += 1
        if self.fault == "hang":
            self.hanging.set()
            await self.release.wait()
        if self.fault == "reset":
            request.transport.abort()
        spoilt = _SPOILT.get(self.fault)
        if spoilt is not None:
            return web.Response(**spoilt)
        document = self.documents.get(request.path)
        return web.Response(status=404) if document is None else web.json_response(document)


_SPOILT = {
    "500": {"status": 500, "text": "sorry"},
    "html": {"text": "<html>login</html>", "content_type": "text/html"},
    "huge": {"body": b" " * 5_000_000, "content_type": "application/json"},
    "redirect": {"status": 302, "headers": {"Location": "/moved"}},
    "deep": {"body": b'{"keys":' + b"[" * 100_000, "content_type": "application/json"},
}
