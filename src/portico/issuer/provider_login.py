"""The way to an identity provider and back: the redirect after consent, and ``GET /callback``."""

import base64
import hashlib

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.faults import record
from portico.issuer.flow import ConsentForm
from portico.issuer.people import address_of
from portico.issuer.powers import Powers
from portico.issuer.providers import callback_url
from portico.issuer.rendering import page_error
from portico.issuer.round_trip import carry, forget, recall
from portico.issuer.store import Issuer
from portico.issuer.transaction import Transaction
from portico.model.errors import Forbidden, PorticoError
from portico.model.oauth_errors import InvalidRequest, OAuthError
from portico.oauth.authorize import AuthorizationRequest, check_redirect, error_url, judge_scopes, success_url
from portico.oauth.client import Client
from portico.oauth.parameters import Parameters
from portico.oauth.resource_indicator import choose_resource
from portico.oauth.upstream import ProviderRequest
from portico.web.forms import read_query
from portico.web.pages import see_other
from portico.web.sessions import new_token


async def to_provider(powers: Powers, issuer: Issuer, request: Request, form: ConsentForm) -> Response:
    """Redirect to the provider, with a state, a nonce and a PKCE challenge of our own.

    Raises:
        Forbidden: the connector is not offered any more.
        Unavailable: the provider cannot be asked where people log in.
        OAuthError: the client is told.
    """
    provider, asked = issuer.provider(form.connector), form.request
    transaction = Transaction(
        request=asked,
        connector=form.connector,
        state=new_token(powers.random),
        nonce=new_token(powers.random),
        verifier=new_token(powers.random),
        grant_id=form.grant_id,
        issued_at=int(powers.clock()),
    )
    url = await provider.authorization_url(
        ProviderRequest(
            state=transaction.state,
            nonce=transaction.nonce,
            code_challenge=_challenge(transaction.verifier),
            scopes=asked.scopes,
            resource=asked.resource,
            login=asked.login,
            offline=True,
        )
    )
    return carry(powers, issuer, request, see_other(url), transaction)


async def callback(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Take the provider's answer to the client; whatever it says, the flow has ended in this browser.

    Raises:
        Forbidden: the answer belongs to no flow of this browser.
        InvalidRequest: the query is malformed.
        LimitExceeded: too many from this address; the flow can be finished later.
    """
    parameters = read_query(request)
    state = parameters.one("state")
    transaction = recall(powers, issuer, request, state)
    powers.outreach.for_callback(address_of(request))  # a forged answer costs nobody anything, so only others count
    try:
        _judge_place(issuer, request, transaction)
        response = await _answer(powers, issuer, request, transaction, parameters)
    except PorticoError as error:
        record(request, issuer, error)
        response = page_error(powers.pages, error, brand=issuer.title)
    return forget(powers, issuer, response, state)


async def find_asker(powers: Powers, issuer: Issuer, asked: AuthorizationRequest) -> Client:
    """Return the client if it and its redirect URI still stand; much may have changed in ten minutes (A19).

    Raises:
        OAuthError: they do not, so nobody is redirected.
    """
    client = await powers.ledger.find_client(issuer, asked.client_id)
    if client is None:
        raise InvalidRequest("The application was removed meanwhile.")
    check_redirect(asked.redirect_uri, client, issuer.settings)
    return client


def judge_again(powers: Powers, issuer: Issuer, asked: AuthorizationRequest, client: Client) -> None:
    """Judge scopes and resource once more at the decision.

    Raises:
        OAuthError: they are no longer granted; the client is told.
    """
    judge_scopes(" ".join(asked.scopes), allowed=client.scopes or issuer.settings.scopes, default=())
    choose_resource((asked.resource,), default="", resources=powers.resources(issuer.url))


def _judge_place(issuer: Issuer, request: Request, transaction: Transaction) -> None:
    """Check that the answer came to the place of the provider that was asked, before anything of it is looked at.

    Raises:
        Forbidden: it came to another's.
    """
    came_to = callback_url(issuer.url, str(request.path_params.get("connector", "")))
    if came_to != issuer.provider(transaction.connector).redirect_uri:
        raise Forbidden("The answer is another identity provider's.", detail=f"it came to {came_to}")


async def _answer(
    powers: Powers, issuer: Issuer, request: Request, transaction: Transaction, parameters: Parameters
) -> Response:
    asked = transaction.request
    provider = issuer.provider(transaction.connector)
    client = await find_asker(powers, issuer, asked)
    try:
        judge_again(powers, issuer, asked, client)
        provider_code = await provider.judge_callback(parameters)
        code = await powers.ledger.admit(issuer, transaction, client, provider_code)
    except OAuthError as error:
        record(request, issuer, error)
        return see_other(error_url(asked.redirect_uri, error, state=asked.state, issuer=issuer.url))
    return see_other(success_url(asked, code, issuer.url))


def _challenge(verifier: str) -> str:
    """Return the S256 challenge of our own verifier (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
