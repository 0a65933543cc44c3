"""``GET /authorize``: judge the request, then show the login or the consent page."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.consent import consent_page
from portico.issuer.entrance import entrance
from portico.issuer.people import address_of, person_of
from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.model.oauth_errors import ConsentRequired, InvalidRequest, LoginRequired, OAuthError
from portico.oauth.authorize import error_url, judge_prompt, judge_redirect, judge_request, state_of
from portico.web.forms import read_query
from portico.web.pages import see_other


async def authorize(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Answer an authorization request (RFC 6749 section 4.1.1).

    Consent is asked for each time: a login that is still alive never becomes a code by itself. ``connector`` is a
    parameter of ours, what the person chose on the login page; a client may send it, it skips the choice only.

    Raises:
        OAuthError: client or redirect URI are not proven, so the person sees it and nobody is redirected.
        LimitExceeded: too many unknown clients from this address.
        StorageUnavailable: whether client and user still exist cannot be known.
        KeysUnavailable: no token could be signed in the end.
    """
    issuer.key()
    parameters = read_query(request)
    client_id = parameters.required("client_id")
    powers.outreach.for_client(issuer, client_id, address_of(request))
    client = await powers.ledger.find_client(issuer, client_id)
    person = await person_of(powers, issuer, request)
    if client is None:
        raise InvalidRequest("The application is not known here, or it was removed.")
    redirect_uri = judge_redirect(parameters, client, issuer.settings)
    state = state_of(parameters)
    try:
        asked = judge_request(
            parameters,
            client=client,
            redirect_uri=redirect_uri,
            state=state,
            settings=issuer.settings,
            resources=powers.resources(issuer.url),
        )
        prompt = judge_prompt(parameters)
        chosen = parameters.one("connector")
        if person is None or prompt.login or chosen:
            if prompt.silent:
                raise LoginRequired("Nobody is logged in.")
            asked = msgspec.structs.replace(asked, login=prompt.login)
            return entrance(powers, issuer, request, asked, client, chosen=chosen)
        if prompt.silent:
            raise ConsentRequired("Consent is asked for each time.")
        return consent_page(powers, issuer, request, asked, client=client, person=person)
    except OAuthError as error:
        return see_other(error_url(redirect_uri, error, state=state, issuer=issuer.url))
