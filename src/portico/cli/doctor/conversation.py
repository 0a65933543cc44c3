"""The MCP steps: agree on a version, list tools, call one."""

from portico.cli.doctor import messages
from portico.cli.doctor.http import Answer
from portico.cli.doctor.journey import Journey, Skipped
from portico.cli.doctor.judge_access import Presented, judge_access
from portico.cli.doctor.judge_mcp import judge_call, judge_discover, judge_initialize, judge_list

_MAX_NAMES = 8  #: tools that a summary names


async def protocol(journey: Journey) -> str:
    """Agree on a protocol version."""
    if journey.token() is None and not journey.asked.open:
        raise Skipped("there is no token")
    spoken = journey.profile.versions
    legacy = [version for version in spoken if not messages.is_modern(version)]
    if messages.is_modern(spoken[0]):
        answer = await _post(journey, messages.discover())
        modern = [version for version in spoken if messages.is_modern(version)]
        version = judge_discover(answer, modern if not legacy else spoken)
        if version is not None and messages.is_modern(version):
            journey.version = version
            return f"{version}, without a handshake"
        journey.note("The server does not speak the modern protocol; going on with initialize.")
    answer = await _post(journey, messages.initialize(legacy[0]))
    journey.version = judge_initialize(answer, requested=legacy[0], spoken=legacy)
    journey.session = answer.header("mcp-session-id")
    journey.masker.remember(journey.session)
    await _post(journey, messages.initialized(journey.version, journey.session))
    return f"{journey.version}, with a {'session' if journey.session else 'handshake and no session'}"


async def tools(journey: Journey) -> str:
    """List the tools."""
    _need_version(journey)
    listed = judge_list(await _post(journey, messages.list_tools(journey.version, journey.session)))
    journey.note(*listed.notes)
    names = ", ".join(listed.tools[:_MAX_NAMES]) + (", ..." if len(listed.tools) > _MAX_NAMES else "")
    return f"{len(listed.tools)} tool{'' if len(listed.tools) == 1 else 's'}" + (f": {names}" if names else "")


async def call(journey: Journey) -> str:
    """Call the tool that the operator named."""
    _need_version(journey)
    assert journey.order.call is not None
    name, arguments = journey.order.call
    return judge_call(await _post(journey, messages.call_tool(journey.version, journey.session, name, arguments)), name)


async def end_session(journey: Journey) -> None:
    """End a legacy session; servers may refuse that."""
    if journey.session:
        token = journey.token()
        headers = messages.legacy_headers(journey.version, journey.session)
        headers.pop("content-type", None)
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
        await journey.send("DELETE", journey.order.url, headers)


async def _post(journey: Journey, sent: messages.Sent) -> Answer:
    headers, body = sent
    token = journey.token()
    proof = {} if token is None else {"authorization": f"Bearer {token.reveal()}"}
    answer = await journey.send("POST", journey.order.url, {**headers, **proof, "origin": journey.profile.origin}, body)
    judge_access(answer, _presented(journey))
    return answer


def _presented(journey: Journey) -> Presented:
    claims, tokens = journey.claims, journey.tokens
    granted = claims.scopes or frozenset((tokens.scope if tokens else "").split()) or frozenset(journey.scopes)
    return Presented(
        resource=journey.target or journey.order.url,
        issuer=journey.server.issuer if journey.server else "",
        claims=claims,
        granted=granted,
        required=frozenset(journey.asked.scopes),
        fresh=not journey.order.token,
        now=journey.clock(),
    )


def _need_version(journey: Journey) -> None:
    if not journey.version:
        raise Skipped("no protocol version was agreed on")
