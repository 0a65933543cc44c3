"""How often one address may make an issuer ask somebody else: clients' documents, providers' token endpoints.

Whoever sends an issuer a request can have it send another one. What is asked is bounded where it is asked (one at a
time, small, short, so often per site); here it is bounded by who causes it, so that one address neither uses up what
others need nor makes a provider take us for an attacker. In memory and per process, like every limit of an issuer.
"""

from collections.abc import Callable
from typing import Final

from portico.issuer.client_documents import ClientDocuments
from portico.issuer.store import Issuer
from portico.issuer.throttle import RateLimit
from portico.model.errors import LimitExceeded

DOCUMENT_BURST: Final = 10  #: documents, not known yet, that one address may have fetched at once
DOCUMENTS_PER_SECOND: Final = 0.1  #: and for ever
CALLBACK_BURST: Final = 60  #: answers of providers from one address at once; each is a login of a person
CALLBACKS_PER_SECOND: Final = 1.0  #: and for ever; an office behind one address logs in
EXCHANGE_BURST: Final = 120  #: codes and refresh tokens of one address at once that are redeemed at a provider
EXCHANGES_PER_SECOND: Final = 10.0  #: and for ever; hosted applications send those of many people from one address


class Outreach:
    """Counts what each address causes."""

    def __init__(self, documents: ClientDocuments, *, clock: Callable[[], float]) -> None:
        self._known = documents
        self._clock = clock
        self._documents = RateLimit(burst=DOCUMENT_BURST, per_second=DOCUMENTS_PER_SECOND)
        self._callbacks = RateLimit(burst=CALLBACK_BURST, per_second=CALLBACKS_PER_SECOND)
        self._exchanges = RateLimit(burst=EXCHANGE_BURST, per_second=EXCHANGES_PER_SECOND)

    @property
    def blind(self) -> bool:
        """Whether documents of clients cannot be fetched from here (:attr:`ClientDocuments.blind`)."""
        return self._known.blind

    def for_client(self, issuer: Issuer, client_id: str, address: str) -> None:
        """Count a client whose document would have to be fetched; of those at hand and of others there is no count.

        Raises:
            LimitExceeded: too many from this address.
        """
        if self._known.would_fetch(client_id, issuer.settings):
            self._take(self._documents, address, "Too many applications that are not known here, from this address.")

    def for_callback(self, address: str) -> None:
        """Count an answer of a provider, which a code may have to be redeemed for.

        Raises:
            LimitExceeded: too many from this address.
        """
        self._take(self._callbacks, address, "Too many logins from this address.")

    def for_exchange(self, issuer: Issuer, address: str) -> None:
        """Count a code or refresh token, where providers have to be asked.

        Raises:
            LimitExceeded: too many from this address.
        """
        if issuer.providers:
            self._take(self._exchanges, address, "Too many token requests from this address.")

    def _take(self, limit: RateLimit, address: str, public: str) -> None:
        wait = limit.take(address, self._clock())
        if wait > 0:
            raise LimitExceeded(public, retry_after=wait)
