"""What login and consent forms carry: the request, sealed and bound to one browser. No table holds it.

The browser is known by a random cookie; the form holds its digest. A form that was fetched by one browser is worth
nothing in another (CVE-2026-27124), a form that was made for login is none for consent, and a consent form also names
the login that it was shown to.
"""

import hashlib
import hmac
import re
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.model.errors import FlowElsewhere, FlowExpired, Forbidden, SealError
from portico.oauth.authorize import AuthorizationRequest
from portico.web.sessions import Session, new_token

FLOW_SECONDS: Final = 600  #: seconds from the authorization request to the decision

_LOGIN: Final = "login-form"
_CONSENT: Final = "consent-form"
F = TypeVar("F", bound=msgspec.Struct)
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}\Z", re.ASCII)


class _LoginForm(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    request: AuthorizationRequest
    browser: str
    issued_at: int


class ConsentForm(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a consent form holds."""

    request: AuthorizationRequest
    browser: str
    issued_at: int
    grant_id: str  #: of the grant that it may become, once: the id is the table's key
    subject: str = ""  #: of the local user who is logged in
    session: str = ""
    connector: str = ""  #: of the provider where somebody will log in, who is not known yet


def browser_of(powers: Powers, issuer: Issuer, request: Request) -> str:
    """Return this browser's secret: its cookie, or a new one to be set by :func:`bind`."""
    cookie = powers.cookies.read(request, "browser", issuer.name)
    return cookie if _COOKIE.match(cookie) else new_token(powers.random)


def bind(powers: Powers, issuer: Issuer, response: Response, browser: str) -> Response:
    """Set the browser's cookie on the page whose form is bound to it."""
    powers.cookies.set(response, "browser", issuer.name, browser)
    return response


def seal_login(powers: Powers, issuer: Issuer, request: AuthorizationRequest, browser: str) -> str:
    """Return the hidden field of a login form."""
    form = _LoginForm(request=request, browser=_digest(browser), issued_at=int(powers.clock()))
    return _seal(powers, issuer, _LOGIN, form)


def seal_consent(powers: Powers, issuer: Issuer, request: AuthorizationRequest, browser: str, session: Session) -> str:
    """Return the hidden field of a consent form that was shown to ``session``."""
    form = ConsentForm(
        request=request,
        browser=_digest(browser),
        issued_at=int(powers.clock()),
        grant_id=powers.random(16).hex(),
        subject=session.subject,
        session=session.id,
    )
    return _seal(powers, issuer, _CONSENT, form)


def seal_provider_consent(
    powers: Powers, issuer: Issuer, request: AuthorizationRequest, browser: str, connector: str
) -> str:
    """Return the hidden field of a consent form that is answered before the login at a provider."""
    form = ConsentForm(
        request=request,
        browser=_digest(browser),
        issued_at=int(powers.clock()),
        grant_id=powers.random(16).hex(),
        connector=connector,
    )
    return _seal(powers, issuer, _CONSENT, form)


def open_login(powers: Powers, issuer: Issuer, request: Request, sealed: str) -> AuthorizationRequest:
    """Return the request of a login form.

    Raises:
        Forbidden: forged, of another form or issuer, of another browser, or too old.
    """
    form = _open(powers, issuer, _LOGIN, sealed, _LoginForm)
    _judge(powers, issuer, request, form.browser, form.issued_at)
    return form.request


def open_consent(powers: Powers, issuer: Issuer, request: Request, sealed: str) -> ConsentForm:
    """Return a consent form; the caller compares its session and subject.

    Raises:
        Forbidden: forged, of another form or issuer, of another browser, or too old.
    """
    form = _open(powers, issuer, _CONSENT, sealed, ConsentForm)
    _judge(powers, issuer, request, form.browser, form.issued_at)
    return form


def _seal(powers: Powers, issuer: Issuer, purpose: str, form: msgspec.Struct) -> str:
    return powers.keyring.seal(purpose, msgspec.msgpack.encode(form), aad=issuer.url.encode(), random=powers.random)


def _open(powers: Powers, issuer: Issuer, purpose: str, sealed: str, kind: type[F]) -> F:
    try:
        plaintext = powers.keyring.open(purpose, sealed, aad=issuer.url.encode())
        return msgspec.msgpack.decode(plaintext, type=kind)
    except (SealError, msgspec.DecodeError) as error:
        raise Forbidden("This form was not made here, or it was changed.", detail="seal") from error


def _judge(powers: Powers, issuer: Issuer, request: Request, browser: str, issued_at: int) -> None:
    cookie = powers.cookies.read(request, "browser", issuer.name)
    if not cookie or not hmac.compare_digest(_digest(cookie), browser):
        raise FlowElsewhere("This form was opened in another browser, or cookies are blocked.", detail="browser")
    if powers.clock() > issued_at + FLOW_SECONDS:
        raise FlowExpired("More than ten minutes passed since you began.", detail="expired")


def _digest(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
