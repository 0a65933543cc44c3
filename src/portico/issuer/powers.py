"""What the handlers of the issuer work with; made once by :class:`portico.issuer.app.IssuerApp`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from portico.crypto.keyring import Keyring
from portico.issuer.ledger import Ledger
from portico.issuer.outreach import Outreach
from portico.issuer.passwords import PasswordCheck
from portico.issuer.store import IssuerSource
from portico.issuer.throttle import LoginThrottle, RateLimit
from portico.issuer.wrapping import Wrapping
from portico.storage.engine import Database
from portico.web.cookies import Cookies
from portico.web.pages import Pages
from portico.web.sessions import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """The directory of people whose passwords we keep."""

    database: Database
    passwords: PasswordCheck
    throttle: LoginThrottle


@dataclass(frozen=True, slots=True, kw_only=True)
class Powers:
    """Constructor arguments of the handlers, together."""

    public_url: str
    keyring: Keyring
    issuers: IssuerSource
    ledger: Ledger
    local: Local | None  #: None where there is no database
    wrapping: Wrapping | None = None  #: where tokens hold the provider's
    resources: Callable[[str], Sequence[str]]  #: issuer URL to the resources of the gateways that trust it
    resource_name: Callable[[str], str]  #: resource to the gateway's name for people, empty when unknown
    clock: Callable[[], float]
    random: Callable[[int], bytes]
    pages: Pages
    cookies: Cookies
    sessions: Sessions
    registrations: RateLimit
    outreach: Outreach
