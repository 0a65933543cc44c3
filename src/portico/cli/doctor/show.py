"""What the command prints: steps as they end, the finding; or one JSON document."""

import textwrap
from collections.abc import Set as AbstractSet
from typing import Any, Final

import click

from portico.cli.doctor.finding import Finding
from portico.cli.doctor.http import Exchange, NoAnswer
from portico.cli.doctor.journey import Order, Report, Step
from portico.cli.doctor.masking import Headers, Masker
from portico.cli.printing import printable

MAX_BODY_CHARS: Final = 300  #: of a body, for people
WIDTH: Final = 100  #: columns
PAGE: Final = "docs/doctor.md"

_MARKS: Final = {
    "good": ("✓", "green"),
    "warning": ("!", "yellow"),
    "fault": ("✗", "red"),
    "skipped": ("-", "bright_black"),
}
#: Headers that a person wants to see; the JSON has all.
_TOLD: Final = frozenset(
    {
        *(
            "www-authenticate",
            "location",
            "content-type",
            "authorization",
            "origin",
            "mcp-protocol-version",
            "mcp-method",
        ),
        *("access-control-request-method", "access-control-request-headers"),
    }
)


#: And these when the client runs in a browser.
_TOLD_TO_BROWSERS: Final = _TOLD | {
    *("access-control-allow-origin", "access-control-allow-headers", "access-control-expose-headers")
}


class Shown:
    """Prints a walk for people while it goes on."""

    def __init__(self, masker: Masker, *, color: bool | None) -> None:
        """``color``: True or False to insist, None to see whether a terminal reads."""
        self._masker = masker
        self._color = color

    def begin(self, order: Order) -> None:
        """Say what is done."""
        self._line(click.style(f"{order.url} as {order.profile.title}", bold=True))

    def step(self, step: Step) -> None:
        """Show a step that ended: what was sent, what was answered, how it is judged."""
        mark, hue = _MARKS[step.verdict]
        title = click.style(f"{mark} {step.title:<22}", fg=hue)
        self._line(f"\n{title} {self._masked(step.summary)}")
        for exchange in step.exchanges:
            self._exchange(exchange)
        for note in step.notes:
            self._paragraph("! ", note)
        if step.finding is not None and step.verdict == "warning":
            self._paragraph("! ", f"{step.finding.fault.id}: {step.finding.seen}")

    def end(self, report: Report) -> None:
        """Give the verdict."""
        if report.finding is not None:
            self._finding(report.finding)
        elif report.verdict == "good":
            self._line(click.style("\n✓ All is well.", fg="green", bold=True))
        else:
            self._line(click.style("\n✓ No fault up to the login, which nobody made.", fg="green", bold=True))
            self._line("  Add --login to go on in a browser, or --token with an access token.")

    def _finding(self, finding: Finding) -> None:
        self._line(click.style(f"\n✗ {finding.fault.id}: {finding.fault.title}", fg="red", bold=True))
        for name, text in (("Seen", finding.seen), ("Cause", finding.fault.cause), ("Fix", finding.fix)):
            self._paragraph(f"{name:<6} ", text)
        self._line(f"  {'More':<6} {PAGE}#{finding.fault.id}")

    def _exchange(self, exchange: Exchange) -> None:
        request, reply = exchange.request, exchange.reply
        self._line(f"    > {request.method} {printable(self._masker.url(request.url))}")
        told = _TOLD_TO_BROWSERS if "origin" in request.headers else _TOLD
        self._half(tuple(request.headers.items()), told, request.headers.get("content-type", ""), request.body)
        if isinstance(reply, NoAnswer):
            self._line(f"    < no answer: {self._masked(reply.text)}")
            return
        self._line(f"    < {reply.status} {printable(reply.reason)}".rstrip())
        self._half(reply.headers, told, reply.content_type, reply.body)

    def _half(self, headers: Headers, told: AbstractSet[str], content_type: str, body: bytes) -> None:
        for name, value in self._masker.headers([each for each in headers if each[0].lower() in told]):
            self._line(f"      {name.lower()}: {printable(value)}")
        text = " ".join(self._masker.body(content_type, body).split())
        if text:
            self._line(f"      {printable(text[:MAX_BODY_CHARS])}{'...' if len(text) > MAX_BODY_CHARS else ''}")

    def _paragraph(self, head: str, text: str) -> None:
        indent = "  " + " " * len(head)
        self._line(textwrap.fill(self._masked(text), WIDTH, initial_indent=f"  {head}", subsequent_indent=indent))

    def _masked(self, text: str) -> str:
        return printable(self._masker.text(text))

    def _line(self, text: str) -> None:
        click.echo(text, color=self._color)


def document(report: Report, masker: Masker) -> dict[str, Any]:
    """Return a report as one JSON document."""
    return {
        "url": report.url,
        "as": report.client,
        "verdict": report.verdict,
        **_finding_document(report.finding, masker),
        "steps": [
            {
                "name": step.name,
                "title": step.title,
                "verdict": step.verdict,
                "summary": masker.text(step.summary),
                "notes": [masker.text(note) for note in step.notes],
                **_finding_document(step.finding, masker),
                "exchanges": [_exchange_document(exchange, masker) for exchange in step.exchanges],
            }
            for step in report.steps
        ],
    }


def _finding_document(finding: Finding | None, masker: Masker) -> dict[str, Any]:
    if finding is None:
        return {"fault": None}
    return {
        "fault": finding.fault.id,
        "what": finding.fault.title,
        "seen": masker.text(finding.seen),
        "cause": finding.fault.cause,
        "fix": masker.text(finding.fix),
    }


def _exchange_document(exchange: Exchange, masker: Masker) -> dict[str, Any]:
    request, reply = exchange.request, exchange.reply
    sent = {
        "method": request.method,
        "url": masker.url(request.url),
        "headers": _headers_document(tuple(request.headers.items()), masker),
        "body": masker.body(request.headers.get("content-type", ""), request.body),
    }
    if isinstance(reply, NoAnswer):
        return {"sent": sent, "answered": None, "trouble": masker.text(f"{reply.trouble}: {reply.text}")}
    answered = {
        "status": reply.status,
        "headers": _headers_document(reply.headers, masker),
        "body": masker.body(reply.content_type, reply.body),
    }
    return {"sent": sent, "answered": answered}


def _headers_document(headers: Headers, masker: Masker) -> dict[str, str]:
    """Return headers by name in lower case; those that are repeated are joined (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in masker.headers(headers):
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found
