"""Who is logged in: the session cookie of an issuer's pages and the living user behind it."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.storage import users
from portico.storage.users import UserRow
from portico.web.sessions import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A local user and the login of this browser."""

    session: Session
    user: UserRow


async def person_of(powers: Powers, issuer: Issuer, request: Request) -> LoggedIn | None:
    """Return who is logged in here with a password of ours; nobody ever is through a provider.

    Raises:
        StorageUnavailable: whether the user still exists cannot be known.
    """
    session = session_of(powers, issuer, request)
    if session is None or powers.local is None or not issuer.local:
        return None
    async with powers.local.database.read() as conn:
        user = await user_of(conn, issuer, session)
    return None if user is None else LoggedIn(session=session, user=user)


def session_of(powers: Powers, issuer: Issuer, request: Request) -> Session | None:
    """Return the login that this browser has at the issuer."""
    cookie = powers.cookies.read(request, "session", issuer.name)
    return powers.sessions.open(issuer.url, cookie, powers.clock()) if cookie else None


async def user_of(conn: AsyncConnection, issuer: Issuer, session: Session | None) -> UserRow | None:
    """Return the user of a session, None when disabled, gone, or the password was changed since the login."""
    if session is None:
        return None
    user = await users.by_subject(conn, session.subject)
    if user is None or user.issuer != issuer.name or user.connector or user.disabled_at is not None:
        return None
    return user if user.password_changed_at <= session.authenticated_at else None


def address_of(request: Request) -> str:
    """Return the peer's address, as the server resolved it (it knows the trusted proxies)."""
    return request.client.host if request.client is not None else ""
