"""``POST /token``: every grant passes the same steps and none can skip one.

Read, authenticate the client, may it use the grant, redeem, sign. All that is written is written in one transaction.
"""

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.access_tokens import answer
from portico.issuer.ledger import Issued
from portico.issuer.people import address_of
from portico.issuer.powers import Powers
from portico.issuer.rendering import json_answer
from portico.issuer.store import Issuer
from portico.model.oauth_errors import InvalidClient, InvalidClientMetadata, InvalidGrant, InvalidRequest
from portico.oauth.authorize import judge_scopes
from portico.oauth.client import Client
from portico.oauth.parameters import Parameters
from portico.oauth.resource_indicator import choose_resource
from portico.oauth.token import (
    ClaimedClient,
    ClientCredentials,
    CodeExchange,
    RefreshExchange,
    judge_client,
    judge_grant_type,
    parse_client,
    parse_token_request,
)
from portico.web.forms import read_form


async def token(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Answer a token request (RFC 6749 section 3.2).

    Raises:
        OAuthError: with the code of RFC 6749 section 5.2 or RFC 8707 section 2.
        StorageUnavailable: client or grant cannot be read.
        KeysUnavailable: there is no key to sign with; nothing was used up.
        LimitExceeded: too many from this address that somebody else would have to be asked about.
    """
    parameters = await read_form(request)
    asked = parse_token_request(parameters)
    claimed = known_client(powers, issuer, request, parameters)
    issuer.key()
    match asked:
        case ClientCredentials():
            issued = await _for_machine(powers, issuer, claimed, asked)
        case CodeExchange() | RefreshExchange():
            powers.outreach.for_exchange(issuer, address_of(request))
            issued = await _for_person(powers, issuer, claimed, asked)
    return json_answer(await answer(powers, issuer, issued))


def claimed_client(request: Request, parameters: Parameters) -> ClaimedClient:
    """Read who the request says that it comes from.

    Raises:
        InvalidRequest: two Authorization headers, or two ways of authentication.
        InvalidClient: no client id, or a header that is not Basic.
    """
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise InvalidRequest("Authenticate once.")
    return parse_client(headers[0] if headers else None, parameters)


def known_client(powers: Powers, issuer: Issuer, request: Request, parameters: Parameters) -> ClaimedClient:
    """Read who the request says that it comes from, before that is looked up.

    Raises:
        InvalidRequest, InvalidClient: see :func:`claimed_client`.
        LimitExceeded: too many unknown clients from this address.
    """
    claimed = claimed_client(request, parameters)
    powers.outreach.for_client(issuer, claimed.client_id, address_of(request))
    return claimed


async def _for_person(
    powers: Powers, issuer: Issuer, claimed: ClaimedClient, asked: CodeExchange | RefreshExchange
) -> Issued:
    async with powers.ledger.work(issuer, claimed, asked) as work:
        client = judge_client(claimed, work.client)
        judge_grant_type(asked, client)
        match asked:
            case CodeExchange():
                issued = await work.redeem(client, asked)
            case RefreshExchange():
                issued = await work.rotate(client, asked)
    if isinstance(issued, InvalidGrant):
        raise issued
    return issued


async def proven_client(powers: Powers, issuer: Issuer, claimed: ClaimedClient) -> Client:
    """Return the client when it is proven.

    Raises:
        InvalidClient: it is not, or its own metadata cannot be used.
        StorageUnavailable: it cannot be known.
    """
    try:
        client = await powers.ledger.find_client(issuer, claimed.client_id)
    except InvalidClientMetadata as error:
        raise InvalidClient(error.public) from error
    return judge_client(claimed, client)


async def _for_machine(powers: Powers, issuer: Issuer, claimed: ClaimedClient, asked: ClientCredentials) -> Issued:
    """Client credentials read the client's row and write nothing; there is no refresh token (section 4.4.3)."""
    client = await proven_client(powers, issuer, claimed)
    judge_grant_type(asked, client)
    return Issued(
        subject=client.id,
        client_id=client.id,
        scopes=judge_scopes(asked.scope, allowed=_still_there(client, issuer), default=_still_there(client, issuer)),
        resource=choose_resource(
            asked.resource, default=client.default_resource, resources=powers.resources(issuer.url)
        ),
    )


def _still_there(client: Client, issuer: Issuer) -> tuple[str, ...]:
    """Return the machine's scopes that the issuer still has."""
    return tuple(scope for scope in client.scopes if scope in issuer.settings.scopes)
