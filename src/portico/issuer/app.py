"""The issuer's routes: one table of endpoints, one place where errors become answers."""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portico.crypto.keyring import Keyring
from portico.issuer import documents, faults, register
from portico.issuer.authorize import authorize
from portico.issuer.client_documents import ClientDocuments
from portico.issuer.consent import consent
from portico.issuer.farewells import Farewells
from portico.issuer.introspect import introspect
from portico.issuer.login import login
from portico.issuer.logout import logout
from portico.issuer.outreach import Outreach
from portico.issuer.passwords import PasswordCheck
from portico.issuer.powers import Local, Powers
from portico.issuer.provider_login import callback
from portico.issuer.providers import Providers
from portico.issuer.redeem import Means
from portico.issuer.rendering import json_error, page_error
from portico.issuer.revoke import revoke
from portico.issuer.store import Issuer, Issuers
from portico.issuer.stored import StoredLedger
from portico.issuer.throttle import LoginThrottle, RateLimit
from portico.issuer.token import token
from portico.model.errors import NotFound, PorticoError
from portico.net.fetch import Fetcher
from portico.oauth.metadata import ROOT, issuer_path, openid_paths, server_metadata_paths
from portico.storage.engine import Database
from portico.web.asgi import ASGIApp, Receive, Scope, Send
from portico.web.cookies import Cookies
from portico.web.cors import Cors
from portico.web.pages import Pages
from portico.web.sessions import Sessions

Handler = Callable[[Powers, Issuer, Request], Awaitable[Response]]
Surface = Literal["page", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row of the table: ``page`` is for people and never read across origins, ``json`` is for clients."""

    path: str
    method: Literal["GET", "POST", "GET POST"]
    surface: Surface
    handler: Handler


def _endpoints(path: str) -> tuple[Endpoint, ...]:
    """Return the table of an issuer at ``path``."""
    return (
        Endpoint(path=f"{path}/authorize", method="GET", surface="page", handler=authorize),
        Endpoint(path=f"{path}/login", method="POST", surface="page", handler=login),
        Endpoint(path=f"{path}/consent", method="POST", surface="page", handler=consent),
        Endpoint(path=f"{path}/callback", method="GET", surface="page", handler=callback),
        Endpoint(path=f"{path}/callback/{{connector}}", method="GET", surface="page", handler=callback),
        Endpoint(path=f"{path}/logout", method="GET POST", surface="page", handler=logout),
        Endpoint(path=f"{path}/token", method="POST", surface="json", handler=token),
        Endpoint(path=f"{path}/revoke", method="POST", surface="json", handler=revoke),
        Endpoint(path=f"{path}/introspect", method="POST", surface="json", handler=introspect),
        Endpoint(path=f"{path}/register", method="POST", surface="json", handler=register.register),
        Endpoint(path=f"{path}/jwks", method="GET", surface="json", handler=documents.jwks),
        *(
            Endpoint(path=place, method="GET", surface="json", handler=documents.authorization_server)
            for place in server_metadata_paths(path)
        ),
        *(Endpoint(path=place, method="GET", surface="json", handler=documents.openid) for place in openid_paths(path)),
    )


#: The issuers by name, and the one that is the origin itself.
ENDPOINTS: Final = (*_endpoints(issuer_path("{name}")), *_endpoints(issuer_path(ROOT)))


class IssuerApp:
    """All issuers of one Portico."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        fetcher: Fetcher,
        public_url: str,
        resources: Callable[[str], Sequence[str]],
        cookie_suffix: str,
        resource_name: Callable[[str], str] = lambda _resource: "",
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Take the powers.

        ``resources`` gives the resources of the gateways that trust an issuer, by its URL; ``resource_name`` what
        people call one. ``cookie_suffix`` keeps two Porticos on one laptop apart.
        """
        self._providers = Providers(fetcher, clock=clock)
        self.issuers = Issuers(database, keyring, self._providers, public_url=public_url)
        means = Means(keyring=keyring, clock=clock, random=random)
        self._documents = ClientDocuments(fetcher, clock=clock)
        self._ledger = StoredLedger(database, means, self._documents)
        self._farewells = Farewells(database, means, self.issuers)
        self._powers = Powers(
            public_url=public_url,
            keyring=keyring,
            issuers=self.issuers,
            ledger=self._ledger,
            local=Local(database=database, passwords=PasswordCheck(), throttle=LoginThrottle()),
            resources=resources,
            resource_name=resource_name,
            clock=clock,
            random=random,
            pages=Pages(["portico.issuer"]),
            cookies=Cookies(public_url, cookie_suffix),
            sessions=Sessions(keyring, random=random),
            registrations=RateLimit(burst=register.BURST, per_second=register.PER_SECOND),
            outreach=Outreach(self._documents, clock=clock),
        )

    async def load_all(self) -> None:
        """Read every issuer; call it before serving.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        await self.issuers.load_all()

    async def reload(self, name: str) -> None:
        """Read one issuer again, when its counter moved.

        Raises:
            StorageUnavailable: the database cannot be reached; what was loaded before stays.
        """
        await self.issuers.reload(name)

    async def tell_providers(self, name: str) -> float | None:
        """Tell the providers of an issuer which grants are over; see :meth:`Farewells.tell`."""
        return await self._farewells.tell(name)

    def when_revoked(self, call: Callable[[], None]) -> None:
        """Have ``call`` called after a client gave something back, so that its provider is told without delay."""
        self._ledger.when_revoked(call)

    def routes(self) -> list[Route]:
        """Return the routes, at the origin's root: the metadata's locations demand it."""
        return issuer_routes(self._powers)

    async def aclose(self) -> None:
        """Wait for what must not be given up half-way, and stop the rest."""
        await self._ledger.aclose()
        await self._documents.aclose()
        await self._providers.aclose()


def issuer_routes(powers: Powers) -> list[Route]:
    """Return the routes of every issuer that ``powers`` know."""
    return [Route(endpoint.path, _serve(powers, endpoint)) for endpoint in ENDPOINTS]


def _serve(powers: Powers, endpoint: Endpoint) -> ASGIApp:
    app = _Served(powers, endpoint)
    return Cors(app, methods=endpoint.method.encode()) if endpoint.surface == "json" else app


class _Served:
    """One endpoint as an ASGI app: finds the issuer, renders what was raised."""

    def __init__(self, powers: Powers, endpoint: Endpoint) -> None:
        self._powers = powers
        self._endpoint = endpoint
        self._methods = {"HEAD"} | set(endpoint.method.split()) if "GET" in endpoint.method else {"POST"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        issuer = self._powers.issuers.get(_name(request))
        try:
            response = await self._answer(issuer, request)
        except PorticoError as error:
            faults.record(request, issuer, error)
            response = self._refuse(error, issuer)
        await response(scope, receive, send)

    async def _answer(self, issuer: Issuer | None, request: Request) -> Response:
        if issuer is None:
            raise NotFound("There is no such issuer.")
        if request.method not in self._methods:
            return self._wrong_method(issuer)
        return await self._endpoint.handler(self._powers, issuer, request)

    def _wrong_method(self, issuer: Issuer) -> Response:
        """Say which methods there are; a person who opens the address of a form anew reads what to do."""
        allow = {"allow": ", ".join(sorted(self._methods))}
        if self._endpoint.surface == "json":
            return Response(status_code=405, headers=allow)
        response = self._refuse(NotFound("This address takes a form, and there is nothing to see at it."), issuer)
        response.status_code = 405
        response.headers.update(allow)
        return response

    def _refuse(self, error: PorticoError, issuer: Issuer | None) -> Response:
        if self._endpoint.surface == "json":
            return json_error(error)
        return page_error(self._powers.pages, error, brand="Portico" if issuer is None else issuer.title)


def _name(request: Request) -> str:
    """Return the name of the issuer that is asked; one issuer has one URL, so ``/i/root`` is none."""
    name = str(request.path_params.get("name", ROOT))
    return "" if name == ROOT and "name" in request.path_params else name
