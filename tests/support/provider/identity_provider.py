"""A real OpenID provider (npm ``oidc-provider``) with the manners of a well-known one, for tests of the façade.

::

    with identity_provider("cognito", redirect_uris=[callback]) as idp:
        idp.discovery_url, idp.issuer, idp.client_id, idp.client_secret, idp.api_scopes
        idp.connector()                      # the connector's document, as facade.yaml and portico.yaml write it
        idp.person("ada")                    # knows Ada's password at the provider, walks through all pages
        idp.change(silent="ada")             # log in without a page; also denies, sso, disabled, access_seconds
        idp.change(patch={"id_token": {"nonce": "x"}, "callback": {"iss": None}}, header={...})
        idp.fail("token", html_page())       # the next token request; huge(), slow(), server_error(), times=...
        idp.requests("token")                # every request so far: .form .query .headers .status
        idp.forget_requests(); idp.revoke("ada"); idp.forget_sessions(); idp.rotate(keep=False)

Profiles, and what each is there to show (the table is ``profiles.mjs``):

==========  =========================================================================================================
cognito     no RFC 8414 document, no S256 advertised, ``resource`` ignored, no ``offline_access`` (always a refresh
            token, never rotated), JWT without ``aud`` but with ``client_id`` and ``token_use``, issuer with a path
entra       ``resource`` refused (AADSTS9010010), scopes are ``api://<id>/...``, ``aud`` a bare GUID, ``oid`` and
            ``tid``, ``sub`` differs by application, ``offline_access`` needed, old refresh tokens live on
okta        issuer with a path, ``scp`` list, ``cid``, ``offline_access``, rotation with 30 seconds of grace
google      opaque access tokens, refresh token only for ``access_type=offline&prompt=consent``, ``hd``
strict      everything right: RFC 8414, PKCE demanded, ``resource`` becomes ``aud``, RFC 9207, consent page, rotation
            without grace
==========  =========================================================================================================

All: a confidential client with exact redirect URIs and no registration. State lives in the process and survives a
rotation of its keys.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from e2e.person import Person
from support.processes import stopped
from support.schemas import node_program

SERVER = Path(__file__).parent / "server.mjs"
START_SECONDS = 60.0
PROFILES = ("cognito", "entra", "okta", "google", "strict")
GATEWAY_CLIENT = ("other-gateway", "the-other-gateway-s-own-secret")
PASSWORD = "a password at the provider"
HUGE_BYTES = 2 << 20
API_ID = "b7a1f3c2-5d64-4e0f-9a52-0c1de2f3a4b5"
TENANT = "0d9c1f0e-4b7a-4f58-8f3c-5a6b7c8d9e0f"
CLIENT_IDS = {"entra": "5f0c9a1e-6b3d-4c7a-9e2f-1a2b3c4d5e6f", "google": "1234-abc.apps.googleusercontent.com"}
API_SCOPES = {
    "cognito": ("mcp/invoke",),
    "entra": (f"api://{API_ID}/mcp.invoke",),
    "okta": ("mcp.invoke",),
    "google": ("https://www.googleapis.com/auth/userinfo.email",),
    "strict": ("mcp/invoke",),
}
ACCOUNTS: list[dict[str, Any]] = [
    {
        "id": "ada",
        "password": PASSWORD,
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "email_verified": True,
        "oid": "11111111-aaaa-4bbb-8ccc-000000000001",
        "hd": "example.com",
        "groups": ["engineers"],
    },
    {
        "id": "grace",
        "password": PASSWORD,
        "name": "Grace Hopper",
        "email": "grace@example.org",
        "email_verified": True,
        "oid": "11111111-aaaa-4bbb-8ccc-000000000002",
        "hd": "example.org",
    },
    {
        "id": "mallory",
        "password": PASSWORD,
        "name": "Mallory",
        "email": "ada@example.com",  # which nobody verified
        "email_verified": False,
        "oid": "11111111-aaaa-4bbb-8ccc-000000000003",
    },
]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One request that the provider got. Repeated parameters keep their last value; ``pairs`` has all."""

    method: str
    path: str
    endpoint: str
    headers: dict[str, str]
    query: dict[str, str]
    form: dict[str, str]
    pairs: list[tuple[str, str]]
    status: int


def server_error() -> dict[str, Any]:
    return {"status": 500, "headers": {"content-type": "application/json"}, "body": '{"error":"server_error"}'}


def html_page(status: int = 502) -> dict[str, Any]:
    return {
        "status": status,
        "headers": {"content-type": "text/html"},
        "body": "<h1>Bad Gateway</h1><script>1</script>",
    }


def huge() -> dict[str, Any]:
    filler = "x" * 1024
    body = {"status": 200, "headers": {"content-type": "application/json"}, "body": filler}
    return body | {"repeat": HUGE_BYTES // len(filler)}


def slow(seconds: float) -> dict[str, Any]:
    """Answer rightly, but late."""
    return {"delay": seconds}


def held() -> dict[str, Any]:
    """Answer rightly, but not before the provider is told to :meth:`~IdentityProvider.release` it."""
    return {"held": True}


def error(code: str, status: int = 400, **members: str) -> dict[str, Any]:
    body = json.dumps({"error": code} | members)
    return {"status": status, "headers": {"content-type": "application/json"}, "body": body}


@dataclass
class IdentityProvider:
    """A running provider, and the handles of its control server."""

    profile: str
    origin: str
    control: httpx2.Client
    client_id: str
    client_secret: str
    auth_method: str
    resources: Sequence[str] = ()

    @property
    def netloc(self) -> str:
        return urlsplit(self.origin).netloc

    @property
    def discovery_url(self) -> str:
        return f"{self.origin}{_PATHS[self.profile]}/.well-known/openid-configuration"

    @property
    def issuer(self) -> str:
        return f"{self.origin}{_PATHS[self.profile]}"

    @property
    def api_scopes(self) -> tuple[str, ...]:
        return API_SCOPES[self.profile]

    def metadata(self) -> dict[str, Any]:
        with httpx2.Client(trust_env=False, timeout=START_SECONDS) as http:
            return http.get(self.discovery_url).raise_for_status().json()

    def connector(self, **changes: Any) -> dict[str, Any]:
        """Return the connector's document for this provider; `strict` is ``oidc``, one of nobody's in particular."""
        document: dict[str, Any] = {
            "name": self.profile,
            "type": "oidc" if self.profile == "strict" else self.profile,
            "title": f"{self.profile.title()} login",
            "discoveryUrl": self.discovery_url,
            "clientId": self.client_id,
            "clientSecret": self.client_secret,
            "scopeMap": {"mcp/invoke": list(self.api_scopes)},
            "tokenAuthMethod": self.auth_method.removeprefix("client_secret_"),
            "allowPrivate": True,
        }
        special = {"google": {"allowedDomains": ["example.com"]}, "strict": {"forwardResource": True}}
        return document | special.get(self.profile, {}) | changes

    def person(self, name: str = "ada", *, refuses: bool = False) -> Person:
        """Return somebody who logs in here on the way from one site to another and back."""
        return Person(name=name, password=PASSWORD, refuses=refuses, providers=frozenset({self.netloc}))

    # What tests change

    def change(self, **changes: Any) -> None:
        """Set members of the state: silent denies sso disabled access_seconds grace_seconds patch header."""
        self._post("/state", changes)

    def fail(self, endpoint: str, fault: dict[str, Any], *, times: int | None = 1) -> None:
        """Let an endpoint fail ``times`` times, or (None) until it is healed.

        Endpoints: token userinfo jwks discovery authorization revocation introspection.
        """
        limited = {} if times is None else {"times": times}
        self._post("/faults", {"endpoint": endpoint, **fault, **limited})

    def release(self) -> int:
        """Let go of the answers that are held back; return how many there were."""
        return self._post("/release", {})

    def heal(self) -> None:
        """Undo all faults and changes but those of seconds."""
        self.release()
        self.change(faults=[], patch={}, header={}, silent=None, denies=False, disabled=[], sso=True)

    def revoke(self, account: str | None = None) -> int:
        """End all grants of an account (of everybody): codes, refresh tokens, opaque access tokens."""
        return self._post("/revoke", {"account": account} if account else {})

    def forget_sessions(self) -> int:
        return self._post("/forget-sessions", {})

    def rotate(self, *, keep: bool) -> list[str]:
        """Sign with a new key; ``keep``: go on publishing the old ones. Returns the key ids, the newest first."""
        return self._post("/rotate", {"keep": keep})

    def allow_redirects(self, *uris: str) -> None:
        """Replace the redirect URIs of the client."""
        self._post("/redirect-uris", {"client_id": self.client_id, "redirect_uris": uris})

    # What it saw

    def requests(self, endpoint: str | None = None) -> list[Recorded]:
        seen = self.control.get("/requests").raise_for_status().json()
        return [_recorded(row) for row in seen if endpoint is None or row["endpoint"] == endpoint]

    def forget_requests(self) -> None:
        self.control.delete("/requests").raise_for_status()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self.control.post(path, json=body).raise_for_status().json()


_PATHS = {
    "cognito": "/us-east-1_PoRtIcO01",
    "entra": f"/{TENANT}/v2.0",
    "okta": "/oauth2/default",
    "google": "",
    "strict": "",
}


def _recorded(row: dict[str, Any]) -> Recorded:
    query, form = row["query"], row["form"]
    return Recorded(
        method=row["method"],
        path=row["path"],
        endpoint=row["endpoint"],
        headers=row["headers"],
        query=dict(query),
        form=dict(form),
        pairs=[(name, value) for name, value in query + form],
        status=row["status"],
    )


@contextlib.contextmanager
def identity_provider(
    profile: str,
    *,
    redirect_uris: Sequence[str],
    logout_uris: Sequence[str] = (),
    clients: Sequence[dict[str, Any]] = (),
    accounts: Sequence[dict[str, Any]] = ACCOUNTS,
    resources: Sequence[str] = (),
    access_seconds: int = 3600,
    refresh_seconds: int = 86_400,
    consent: bool | None = None,
    auth_method: str = "client_secret_basic",
    host: str = "127.0.0.1",
    port: int | None = None,
) -> Generator[IdentityProvider]:
    """Run the provider until the block ends.

    ``resources``: what `strict` takes as `resource`. ``access_seconds``, ``refresh_seconds``: lifetimes of tokens.
    ``consent``: whether it asks people by a page of its own (default: `strict` does). ``host``: its name in its
    issuer, e.g. ``localhost`` to be another site than the façade; it listens on 127.0.0.1 anyway.
    """
    client_id, secret = CLIENT_IDS.get(profile, "facade"), "the facade's own secret at the provider"
    own: dict[str, Any] = {"client_id": client_id, "client_secret": secret, "redirect_uris": list(redirect_uris)}
    own |= {"post_logout_redirect_uris": list(logout_uris)}
    gateway_id, gateway_secret = GATEWAY_CLIENT
    gateway: dict[str, Any] = {"client_id": gateway_id, "client_secret": gateway_secret, "redirect_uris": []}
    settings: dict[str, Any] = {
        "profile": profile,
        "clients": [
            own | {"client_name": "The façade", "token_endpoint_auth_method": auth_method},
            gateway | {"grant_types": [], "response_types": []},
            *clients,
        ],
        "accounts": [dict(account) for account in accounts],
        "resources": list(resources),
        "access_seconds": access_seconds,
        "refresh_seconds": refresh_seconds,
        "consent": consent,
        "host": host,
        "port": port,
    }
    with _process(settings) as facts, _control(facts["control"]) as control:
        yield IdentityProvider(
            profile=profile,
            origin=f"http://{host}:{facts['port']}",
            control=control,
            client_id=client_id,
            client_secret=secret,
            auth_method=auth_method,
            resources=resources,
        )


@contextlib.contextmanager
def _process(settings: dict[str, Any]) -> Generator[dict[str, int]]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [node_program(), str(SERVER)],
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"IDENTITY_PROVIDER": json.dumps(settings), "NODE_ENV": "production"},
        )
        with stopped(process):
            assert process.stdout is not None
            line = process.stdout.readline()
            log.seek(0)
            assert line, f"the provider did not start (make setup?): {log.read().decode()}"
            yield json.loads(line)


@contextlib.contextmanager
def _control(port: int) -> Generator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=START_SECONDS, trust_env=False) as control:
        yield control
