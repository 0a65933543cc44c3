"""The documents by which clients describe themselves: fetched from strangers, kept for as long as their headers say.

Anybody can make an issuer fetch: a client id is all that it takes. So nothing private is reached (the egress rule, at
each dial), no redirect is followed, a fetch is small and short, one document is fetched once at a time for all who
wait for it, and no site is asked more often than it can bear. Faults are never kept, documents are: as fresh as their
headers say within bounds, and for a day longer while their host is down. What an issuer makes of a document is judged
anew each time, so a change of its settings counts at once.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from portico.issuer.throttle import RateLimit
from portico.model.errors import EgressDenied, LimitExceeded, Unavailable, UpstreamError
from portico.model.oauth_errors import InvalidClientMetadata
from portico.net.fetch import Fetched, Fetcher
from portico.oauth.client import Client
from portico.oauth.client_metadata import (
    MAX_DOCUMENT_BYTES,
    ClientDocument,
    DocumentUrl,
    is_document_id,
    judge_document,
    judge_document_url,
    parse_document,
)
from portico.oauth.freshness import Freshness, freshness
from portico.oauth.issuer_settings import IssuerSettings

FETCH_SECONDS: Final = 5.0  #: for the whole of a document
STALE_SECONDS: Final = 24 * 3600.0  #: that a document is used after its time while its host cannot be asked
RETRY_SECONDS: Final = 30.0  #: between two attempts to reach a host whose document is used stale
MAX_DOCUMENTS: Final = 1000  #: in memory; the one that was not asked for the longest goes first
MAX_AT_ONCE: Final = 8  #: fetches under way of hosts that are named in settings, and as many of all others
BLIND_SECONDS: Final = 600.0  #: that metadata do not offer documents after one could not be reached, if none ever was
BURST: Final = 10  #: fetches at once from one site
PER_SECOND: Final = 0.5  #: fetches that a site bears for ever

_OK: Final = 200
_TOO_MANY: Final = 429
_SERVER_FAULTS: Final = 500

_Key = tuple[str, bool]
_Lane = Literal["named", "others"]


@dataclass(slots=True)
class _Entry:
    document: ClientDocument
    fresh_until: float
    stale_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """Why there is no document; made into a new error for each who waited."""

    public: str
    detail: str
    passing: bool = False  #: the host could not be asked, or says that it cannot answer now


class ClientDocuments:
    """Clients by the URLs of their documents. Lives on one event loop; ``clock`` gives seconds since the epoch."""

    def __init__(self, fetcher: Fetcher, *, clock: Callable[[], float]) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._flights: dict[_Key, asyncio.Task[ClientDocument | _Fault]] = {}
        self._under_way: Counter[_Lane] = Counter()
        self._fetches = RateLimit(burst=BURST, per_second=PER_SECOND)
        self._reached = False  # a host of documents answered, whatever it said
        self._blind_until = 0.0

    async def get(self, client_id: str, settings: IssuerSettings) -> Client | None:
        """Return the client that ``client_id`` is the URL of; None when it is no URL, or documents are not used.

        Raises:
            InvalidClientMetadata: the URL, its host, the fetch or the document is not good; ``public`` is for the
                person at the authorization endpoint. At the token endpoint it is an ``invalid_client``.
            LimitExceeded: its site was asked too often, or too much is under way.
            Unavailable: this process is ending.
        """
        policy = settings.client_documents
        if not policy.enabled or not is_document_id(client_id):
            return None
        url = judge_document_url(client_id, policy)
        # What was fetched with leave to reach private addresses is not for issuers without it.
        document = await self._document((client_id, policy.allow_private), url)
        return judge_document(document, url, settings)

    def would_fetch(self, client_id: str, settings: IssuerSettings) -> bool:
        """Say whether :meth:`get` would have to ask the document's host now: nobody does yet, and it is not at hand."""
        policy = settings.client_documents
        if not policy.enabled or not is_document_id(client_id):
            return False
        key = (client_id, policy.allow_private)
        entry = self._entries.get(key)
        return key not in self._flights and (entry is None or self._clock() >= entry.fresh_until)

    @property
    def blind(self) -> bool:
        """Whether no document was ever reached from here, and one could not be a moment ago.

        A network that lets nothing out is common. Clients that find documents offered do not register in another way,
        so an issuer that cannot fetch any says so in its metadata, and clients register instead.
        """
        return self._clock() < self._blind_until

    async def aclose(self) -> None:
        """Stop what is on its way."""
        flights = tuple(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _document(self, key: _Key, url: DocumentUrl) -> ClientDocument:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            if self._clock() < entry.fresh_until:
                return entry.document
        try:
            flight = self._flights.get(key) or self._start(key, url, known=entry is not None)
        except LimitExceeded:
            if entry is not None and self._clock() < entry.stale_until:
                return entry.document
            raise
        await asyncio.wait({flight})  # cancels nothing, whatever happens to whoever waits here
        if flight.cancelled():
            raise Unavailable("The application's document cannot be fetched now.", detail="closing")
        found = flight.result()
        if isinstance(found, _Fault):
            raise InvalidClientMetadata(found.public, detail=found.detail)
        return found

    def _start(self, key: _Key, url: DocumentUrl, *, known: bool) -> asyncio.Task[ClientDocument | _Fault]:
        lane: _Lane = "named" if url.named else "others"
        if self._under_way[lane] >= MAX_AT_ONCE:
            raise LimitExceeded("Too many documents of applications are being fetched.", retry_after=FETCH_SECONDS)
        wait = self._fetches.take(_bearer(url, known=known), self._clock())
        if wait > 0:
            raise LimitExceeded(f"{url.authority} was asked for documents of applications too often.", retry_after=wait)
        flight = asyncio.create_task(self._fly(key, url), name=f"client document {url.text}")
        self._flights[key] = flight
        self._under_way[lane] += 1
        flight.add_done_callback(lambda _: self._landed(key, lane))
        return flight

    def _landed(self, key: _Key, lane: _Lane) -> None:
        self._flights.pop(key, None)
        self._under_way[lane] -= 1

    async def _fly(self, key: _Key, url: DocumentUrl) -> ClientDocument | _Fault:
        try:
            fetched = await self._fetcher.get(
                url.text, max_bytes=MAX_DOCUMENT_BYTES, timeout=FETCH_SECONDS, allow_private=key[1]
            )
            self._reached, self._blind_until = True, 0.0
            document = _read(fetched, url)
        except UpstreamError as error:
            # The same for all of them: which names resolve inside is nobody's business out there.
            public = f"The application's document could not be fetched from {url.authority}."
            if not self._reached:
                self._blind_until = self._clock() + BLIND_SECONDS
                public = f"{public} Connect the application again: it registers in another way now."
            return self._failed(
                key, _Fault(public=public, detail=str(error), passing=not isinstance(error, EgressDenied))
            )
        except InvalidClientMetadata as error:
            return self._failed(key, _Fault(public=error.public, detail=url.text))
        if isinstance(document, _Fault):
            return self._failed(key, document)
        self._keep(key, document, freshness(fetched.headers, self._clock()))
        return document

    def _keep(self, key: _Key, document: ClientDocument, fresh: Freshness) -> None:
        until = self._clock() + fresh.seconds
        self._entries[key] = _Entry(document, until, until + STALE_SECONDS if fresh.stale else until)
        self._entries.move_to_end(key)
        while len(self._entries) > MAX_DOCUMENTS:
            self._entries.popitem(last=False)

    def _failed(self, key: _Key, fault: _Fault) -> ClientDocument | _Fault:
        """Return the document as it was, while its host is only away; else forget it: its host took it back."""
        entry, now = self._entries.get(key), self._clock()
        if entry is not None and fault.passing and now < entry.stale_until:
            entry.fresh_until = min(now + RETRY_SECONDS, entry.stale_until)
            return entry.document
        self._entries.pop(key, None)
        return fault


def _read(fetched: Fetched, url: DocumentUrl) -> ClientDocument | _Fault:
    """Judge an answer: only 200 is one (draft section 5), and only JSON.

    Raises:
        InvalidClientMetadata: the document is not good.
    """
    if fetched.status != _OK:
        return _Fault(
            public=f"{url.authority} answered with HTTP status {fetched.status} and not the application's document.",
            detail=url.text,
            passing=fetched.status == _TOO_MANY or fetched.status >= _SERVER_FAULTS,
        )
    kind = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        return _Fault(public=f"What {url.authority} answered for the application is not JSON.", detail=url.text)
    return parse_document(fetched.body, url.text)


def _bearer(url: DocumentUrl, *, known: bool) -> str:
    """Return who bears a fetch.

    A document that was good before has a count of its own, which no flood of made-up URLs uses up. Other ones count
    for their host when it is named, else for the last two labels of it: names below one domain are free to make.
    """
    if known:
        return url.text
    return url.authority if url.named else ".".join(url.host.split(".")[-2:])
