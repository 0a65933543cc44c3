"""What a walk is asked to do, what it learns on the way, and what it leaves behind."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from portico.cli.doctor.finding import Finding
from portico.cli.doctor.http import Answer, Exchange, Request, Wire
from portico.cli.doctor.judge_answer import arrived
from portico.cli.doctor.judge_challenge import Asked
from portico.cli.doctor.judge_registration import Client
from portico.cli.doctor.judge_resource import Resource
from portico.cli.doctor.judge_server import Server
from portico.cli.doctor.judge_token import Claims, Tokens
from portico.cli.doctor.login import Login
from portico.cli.doctor.masking import Masker
from portico.cli.doctor.profiles import Profile
from portico.model.secret import Secret

StepVerdict = Literal["good", "warning", "fault", "skipped"]
Verdict = Literal["good", "incomplete", "fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the operator asks for."""

    url: str
    profile: Profile
    client_id: str = ""
    client_secret: Secret = field(default_factory=lambda: Secret(""))
    issuer: str = ""  #: whose the secret is; empty: only one on the endpoint's own origin
    redirect_uri: str = ""
    scope: str = ""
    resource: str = ""
    token: Secret = field(default_factory=lambda: Secret(""))
    call: tuple[str, Mapping[str, Any]] | None = None


@dataclass(slots=True, kw_only=True)
class Step:
    """One step of the walk."""

    name: str
    title: str
    verdict: StepVerdict = "good"
    summary: str = ""
    notes: list[str] = field(default_factory=list[str])
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the walk went."""

    url: str
    client: str
    verdict: Verdict  #: incomplete: no fault as far as it went, but nobody logged in
    steps: tuple[Step, ...]
    finding: Finding | None = None


class Skipped(Exception):  # no error: the step does not apply
    """A step is not to be made; the text says why."""


@dataclass(slots=True, kw_only=True)
class Journey:
    """A walk under way: its powers, and what it has learnt."""

    order: Order
    wire: Wire
    masker: Masker
    random: Callable[[int], str]  #: a new secret text from that many random bytes
    login: Login | None  #: None: nobody is there to log in
    clock: Callable[[], float] = time.time
    step: Step = field(default_factory=lambda: Step(name="", title=""))

    asked: Asked = field(default_factory=Asked)
    resource: Resource | None = None
    server: Server | None = None
    client: Client | None = None
    redirect_uri: str = ""
    code: str = ""
    verifier: str = ""
    tokens: Tokens | None = None
    claims: Claims = field(default_factory=Claims)
    version: str = ""
    session: str = ""  #: of a legacy server

    @property
    def profile(self) -> Profile:
        """The client that is stood for."""
        return self.order.profile

    @property
    def target(self) -> str:
        """The ``resource`` that tokens are asked for; empty when this client sends none."""
        if self.order.resource:
            return self.order.resource
        if not self.profile.sends_resource:
            return ""
        return self.resource.resource if self.resource else self.order.url

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that the client asks for, ``offline_access`` aside."""
        if self.order.scope:
            return tuple(self.order.scope.split())
        if not self.profile.reads_scopes:
            return ()
        return self.asked.scopes or (self.resource.scopes if self.resource else ())

    def token(self) -> Secret | None:
        """Return the access token that the walk goes on with."""
        if self.order.token:
            return self.order.token
        return self.tokens.access_token if self.tokens else None

    def note(self, *notes: str) -> None:
        """Keep what is worth knowing about this step."""
        self.step.notes.extend(notes)

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request and write both halves down; headers without a value are left out.

        Raises:
            FaultFound: nobody answered, or the server failed.
        """
        sent = {name: value for name, value in headers.items() if value}
        exchange = await self.wire.send(Request(method=method, url=url, headers=sent, body=body))
        self.step.exchanges.append(exchange)
        return arrived(exchange.reply)


FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
