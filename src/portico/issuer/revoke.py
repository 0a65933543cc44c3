"""``POST /revoke`` (RFC 7009): a client gives back what it holds."""

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.access_tokens import own_token
from portico.issuer.powers import Powers
from portico.issuer.rendering import NO_STORE
from portico.issuer.store import Issuer
from portico.issuer.token import known_client
from portico.oauth.token import judge_client
from portico.web.forms import read_form


async def revoke(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Revoke a refresh token or an access token, and with it the grant that it came from.

    Unknown tokens and those of other clients are answered alike and nothing happens to them (section 2.2).

    Raises:
        InvalidClient: the client did not prove itself.
        UnsupportedTokenType: a machine's access token; it has no grant and ends by itself.
        StorageUnavailable: nothing was revoked.
    """
    parameters = await read_form(request)
    parameters.no_repeats(but="")
    token = parameters.required("token")
    claimed = known_client(powers, issuer, request, parameters)
    async with powers.ledger.work(issuer, claimed, None) as work:
        client = judge_client(claimed, work.client)
        await work.revoke(client, token, own_token(issuer, token))
    return Response(status_code=200, headers=NO_STORE)
