"""The walk: which steps there are, in which order, and where it ends.

The first fault ends it. With a given token the steps that only lead to a token are read for advice: what is wrong there
does not keep that token's owner out.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from portico.cli.doctor import authorization, conversation, discovery
from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.journey import Journey, Report, Skipped, Step, Verdict
from portico.cli.doctor.judge_token import read_claims

Action = Callable[[Journey], Awaitable[str]]
Observer = Callable[[Step], None]

#: Name, title, action. The order is that of a client.
STEPS: Final[tuple[tuple[str, str, Action], ...]] = (
    ("challenge", "Call without a token", discovery.challenge),
    ("resource-metadata", "Resource metadata", discovery.resource_metadata),
    ("server-metadata", "Server metadata", discovery.server_metadata),
    ("registration", "Registration", authorization.registration),
    ("authorization", "Authorization", authorization.authorize),
    ("token", "Token", authorization.token),
    ("refresh", "Refresh", authorization.refresh),
    ("protocol", "Protocol version", conversation.protocol),
    ("tools", "List of tools", conversation.tools),
    ("call", "Call", conversation.call),
)
#: Steps whose faults are only told when a token was given.
ADVICE: Final = frozenset({"resource-metadata", "server-metadata"})


async def walk(journey: Journey, observe: Observer) -> Report:
    """Walk to the end or to the first fault, telling ``observe`` of every step that ended.

    Raises:
        PorticoError: the login could not be made, for a reason that is not the server's.
    """
    order = journey.order
    journey.masker.remember(order.token.reveal(), order.client_secret.reveal())
    if order.token:
        journey.claims = read_claims(order.token.reveal())
    steps: list[Step] = []
    for name, title, action in STEPS:
        if name == "call" and order.call is None:
            continue
        step = journey.step = Step(name=name, title=title)
        await _make(journey, action)
        steps.append(step)
        observe(step)
        if step.verdict == "fault":
            break
    await _leave(journey)
    return Report(
        url=order.url,
        client=order.profile.name,
        verdict=_verdict(steps),
        steps=tuple(steps),
        finding=steps[-1].finding if steps[-1].verdict == "fault" else None,
    )


async def _make(journey: Journey, action: Action) -> None:
    step = journey.step
    try:
        step.summary = await action(journey)
    except Skipped as reason:
        step.verdict, step.summary = "skipped", str(reason)
        return
    except FaultFound as found:
        step.finding = found.finding
        step.summary = found.finding.fault.title
        advice = bool(journey.order.token) and step.name in ADVICE
        step.verdict = "warning" if advice else "fault"
        return
    if step.notes:
        step.verdict = "warning"


async def _leave(journey: Journey) -> None:
    """Leave nothing behind; what the server says to that is of no interest."""
    journey.step = Step(name="", title="")
    with contextlib.suppress(FaultFound):
        await conversation.end_session(journey)


def _verdict(steps: list[Step]) -> Verdict:
    if steps[-1].verdict == "fault":
        return "fault"
    return "good" if any(step.name == "tools" and step.verdict != "skipped" for step in steps) else "incomplete"
