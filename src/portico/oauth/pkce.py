"""Proof Key for Code Exchange, S256 only (RFC 7636; OAuth 2.1 section 4.1.1)."""

import base64
import hashlib
import hmac
import re

from portico.model.oauth_errors import InvalidGrant, InvalidRequest

#: base64url of a SHA-256 is 43 characters, so no other length of RFC 7636's grammar can ever be answered.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}\Z", re.ASCII)


def judge_challenge(challenge: str, method: str, *, required: bool = True) -> str:
    """Return the challenge of an authorization request; without ``required`` none may be sent, and is returned.

    Raises:
        InvalidRequest: no challenge, a method other than S256 (an absent one means ``plain``), or a malformed one.
    """
    if not challenge and not method and not required:
        return ""
    if not challenge:
        raise InvalidRequest("code_challenge is missing; PKCE with S256 is required.")
    if method != "S256":
        raise InvalidRequest("code_challenge_method must be S256.")
    if not _CHALLENGE.match(challenge):
        raise InvalidRequest("code_challenge must be the 43 base64url characters of a SHA-256.")
    return challenge


def judge_verifier(verifier: str, challenge: str, *, required: bool = True) -> None:
    """Check that ``verifier`` is the one whose digest was sent before.

    Without ``required`` a code may have no challenge, and then no verifier comes with it: one that does says that
    somebody took the challenge out of the authorization request on its way (RFC 9700 section 4.8.2).

    Raises:
        InvalidGrant: it is missing, malformed, another (RFC 7636 section 4.6), or there is nothing that it could fit.
    """
    if not challenge and not verifier and not required:
        return
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    if not challenge or not _VERIFIER.match(verifier) or not hmac.compare_digest(digest, challenge):
        raise InvalidGrant("code_verifier does not fit the code_challenge of the authorization request.")
