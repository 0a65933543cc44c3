"""A relying party in raw HTTP: what a test of the provider's own manners needs, and nothing that helps it."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from support.provider.identity_provider import IdentityProvider

CALLBACK = "http://127.0.0.1:18999/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
OFFLINE = {
    "entra": {"scope": "offline_access"},
    "okta": {"scope": "offline_access"},
    "google": {"access_type": "offline", "prompt": "consent"},
    "strict": {"scope": "offline_access", "prompt": "consent"},
}


@dataclass(kw_only=True)
class Course:
    """Logs in at a provider as a confidential client."""

    idp: IdentityProvider
    http: httpx2.Client

    def url(self, **changes: str | None) -> str:
        """Return an authorization URL; ``scope`` is added to the usual ones, None takes a parameter away."""
        scope = " ".join(
            ["openid", "email", "profile", *self.idp.api_scopes, *(changes.pop("scope", "") or "").split()]
        )
        query: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.idp.client_id,
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": "s-1",
            "nonce": "n-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | changes
        given = {name: value for name, value in query.items() if value is not None}
        return f"{self.idp.metadata()['authorization_endpoint']}?{urlencode(given)}"

    def answer(self, person: str = "ada", **changes: str | None) -> dict[str, str]:
        """Log somebody in; return the parameters of the redirect back."""
        target = self.idp.person(person).walk(self.url(**changes))
        assert target.startswith(f"{CALLBACK}?"), target
        return {name: values[-1] for name, values in parse_qs(urlsplit(target).query).items()}

    def token(self, **form: str) -> httpx2.Response:
        """Ask the token endpoint."""
        auth = (self.idp.client_id, self.idp.client_secret)
        return self.http.post(self.idp.metadata()["token_endpoint"], data=form, auth=auth)

    def redeem(self, code: str, **form: str) -> httpx2.Response:
        return self.token(
            grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER, **form
        )

    def log_in(self, person: str = "ada", **changes: str | None) -> dict[str, Any]:
        """Take the whole way; return the token response."""
        answered = self.redeem(self.answer(person, **changes)["code"])
        assert answered.status_code == 200, answered.text
        return answered.json()

    def log_in_offline(self, person: str = "ada", **changes: str | None) -> dict[str, Any]:
        """Take the whole way as this provider wants it to hand out a refresh token."""
        tokens = self.log_in(person, **OFFLINE.get(self.idp.profile, {}) | changes)
        assert tokens["refresh_token"]
        return tokens

    def refresh(self, refresh_token: str) -> httpx2.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a JWT, unverified."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims
