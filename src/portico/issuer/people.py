"""Who is logged in: the session cookie of an issuer's pages and the living user behind it."""

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.storage import users
from portico.storage.users import UserRow
from portico.web.sessions import Session


def session_of(powers: Powers, issuer: Issuer, request: Request) -> Session | None:
    """Return the login that this browser has at the issuer."""
    cookie = powers.cookies.read(request, "session", issuer.name)
    return powers.sessions.open(issuer.name, cookie, powers.clock()) if cookie else None


async def user_of(conn: AsyncConnection, issuer: Issuer, session: Session | None) -> UserRow | None:
    """Return the user of a session, None when disabled, gone, or the password was changed since the login."""
    if session is None:
        return None
    user = await users.by_subject(conn, session.subject)
    if user is None or user.issuer != issuer.name or user.disabled_at is not None:
        return None
    return user if user.password_changed_at <= session.authenticated_at else None


def address_of(request: Request) -> str:
    """Return the peer's address, as the server resolved it (it knows the trusted proxies)."""
    return request.client.host if request.client is not None else ""
