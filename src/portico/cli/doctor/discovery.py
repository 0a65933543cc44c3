"""The first three steps: the challenge, the resource's metadata, the authorization server's."""

from typing import Final

from portico.cli.doctor import judge_cors, judge_resource, judge_server
from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.journey import JSON, Journey, Skipped
from portico.cli.doctor.judge_challenge import judge_challenge
from portico.cli.doctor.messages import first_message
from portico.oauth.scope import advertised

ASKS_FOR_NONE: Final = "the server asks for no token"


async def challenge(journey: Journey) -> str:
    """Call without a token."""
    order, origin = journey.order, journey.profile.origin
    if origin:
        asked = judge_cors.preflight(origin, judge_cors.ENDPOINT_HEADERS)
        answer = await journey.send("OPTIONS", order.url, asked)
        judge_cors.judge_preflight(answer, origin, judge_cors.ENDPOINT_HEADERS)
    headers, body = first_message(journey.profile.versions)
    answer = await journey.send("POST", order.url, {**headers, "origin": origin}, body)
    journey.asked = judge_challenge(answer)
    if origin:
        judge_cors.judge_readable(answer, origin)
        judge_cors.judge_exposed(answer, "www-authenticate")
    if journey.asked.open:
        journey.note("Whoever reaches this address may call it.")
        return ASKS_FOR_NONE
    journey.note(*journey.asked.notes)
    scopes = " ".join(advertised(journey.asked.scopes)) or "none named"
    return f"401 with a Bearer challenge; scopes: {scopes}"


async def resource_metadata(journey: Journey) -> str:
    """Find the protected resource metadata."""
    if journey.asked.open:
        raise Skipped(ASKS_FOR_NONE)
    url, named = journey.order.url, journey.asked.resource_metadata
    for place in judge_resource.places(url, named):
        answer = await journey.send("GET", place, {"accept": JSON, "origin": journey.profile.origin})
        document = judge_resource.judge_place(answer, named=place == named)
        if document is None:
            continue
        _judge_readable(journey, answer)
        journey.resource = judge_resource.judge_document(document, url)
        journey.note(*journey.resource.notes)
        return f"resource {journey.resource.resource}, issuer {journey.resource.issuer}"
    return await _origin_as_server(journey)


async def _origin_as_server(journey: Journey) -> str:
    """Do as clients do with servers of 2025-03-26: the server's origin is its authorization server."""
    origin = judge_resource.origin_of(journey.order.url)
    for place in judge_server.places(origin):
        if judge_server.judge_place(await journey.send("GET", place, {"accept": JSON})) is not None:
            journey.resource = judge_resource.Resource(resource=journey.order.url, issuer=origin)
            journey.note(
                "No resource metadata anywhere; clients fall back to the server's origin as 2025-03-26 had it."
            )
            return f"none; taking {origin} for the authorization server"
    places = ", ".join(judge_resource.places(journey.order.url, ""))
    raise FaultFound("resource_metadata_missing", f"Looked for at {places}.")


async def server_metadata(journey: Journey) -> str:
    """Find the authorization server's metadata."""
    if journey.resource is None:
        raise Skipped(ASKS_FOR_NONE if journey.asked.open else "its issuer is not known")
    issuer = journey.resource.issuer
    places = judge_server.places(issuer)
    for place in places:
        answer = await journey.send("GET", place, {"accept": JSON, "origin": journey.profile.origin})
        document = judge_server.judge_place(answer)
        if document is None:
            continue
        _judge_readable(journey, answer)
        journey.server = judge_server.judge_document(document, issuer, journey.profile)
        journey.note(*journey.server.notes)
        return _summary(journey.server)
    raise FaultFound("server_metadata_missing", f"Looked for {issuer} at {', '.join(places)}.")


def _summary(server: judge_server.Server) -> str:
    offers = [
        word
        for word, offered in (
            ("registration", bool(server.registration_endpoint)),
            ("metadata documents", server.documents),
            ("iss in redirects", server.sends_iss),
        )
        if offered
    ]
    return f"issuer {server.issuer}; {', '.join(offers) or 'neither registration nor metadata documents'}"


def _judge_readable(journey: Journey, answer: judge_server.Answer) -> None:
    if journey.profile.origin:
        judge_cors.judge_readable(answer, journey.profile.origin)
