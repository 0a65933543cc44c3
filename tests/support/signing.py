"""Requests signed by botocore's own signer, at a time that a test chooses."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from portico.crypto.sigv4 import SignedRequest

REGION = "us-east-1"
SERVICE = "bedrock-agentcore"
KEY_ID = "PORTICO0123456789ABC"
SECRET = "uNs4feSecretForTestsOnlyuNs4feSecret0000"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request as it goes over the wire."""

    method: str
    raw_path: bytes
    query: bytes
    headers: tuple
    body: bytes = b""

    @property
    def request(self):
        return SignedRequest(method=self.method, raw_path=self.raw_path, query=self.query, headers=self.headers)

    @property
    def scope(self):
        """What an ASGI server makes of it."""
        return {
            "type": "http",
            "method": self.method,
            "path": self.raw_path.decode(),
            "raw_path": self.raw_path,
            "query_string": self.query,
            "headers": list(self.headers),
        }

    def header(self, name):
        return dict(self.headers)[name]

    def with_header(self, name, value):
        """The same with one header set, added, or (None) left out."""
        rest = tuple(entry for entry in self.headers if entry[0] != name)
        return replace(self, headers=rest if value is None else (*rest, (name, value)))

    def without_signed(self, name):
        """The same with SignedHeaders claiming less."""
        text = self.header(b"authorization").decode()
        before, _, rest = text.partition("SignedHeaders=")
        listed, _, after = rest.partition(",")
        kept = ";".join(entry for entry in listed.split(";") if entry != name)
        return self.with_header(b"authorization", f"{before}SignedHeaders={kept},{after}".encode())

    def with_credential(self, **parts):
        """The same with parts of the credential exchanged: key_id, date, region, service, terminator."""
        text = self.header(b"authorization").decode()
        before, _, rest = text.partition("Credential=")
        listed, _, after = rest.partition(",")
        names = ("key_id", "date", "region", "service", "terminator")
        changed = dict(zip(names, listed.split("/"), strict=True)) | parts
        return self.with_header(b"authorization", f"{before}Credential={'/'.join(changed.values())},{after}".encode())


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Signs with botocore's SigV4Auth."""

    key_id: str = KEY_ID
    secret: str = SECRET
    token: str | None = None
    region: str = REGION
    service: str = SERVICE
    extra: dict = field(default_factory=dict)

    def sign(self, method, url, *, now, body=b"", headers=None):
        """Sign a request at ``now`` (seconds since the epoch)."""
        request = AWSRequest(method, url, {**(headers or {}), **self.extra}, body)
        with _time(now):
            credentials = Credentials(self.key_id, self.secret, self.token)
            botocore.auth.SigV4Auth(credentials, self.service, self.region).add_auth(request)
        parts = urlsplit(url)
        sent = [(b"host", parts.netloc.encode())]
        sent += [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
        return Sent(
            method=method,
            raw_path=parts.path.encode(),
            query=parts.query.encode(),
            headers=tuple(entry for i, entry in enumerate(sent) if i == 0 or entry[0] != b"host"),
            body=body,
        )


class _time:  # noqa: N801 - reads as a statement
    def __init__(self, now):
        self._now = now

    def __enter__(self):
        self._real = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda: datetime.fromtimestamp(self._now, UTC)

    def __exit__(self, *_):
        botocore.auth.get_current_datetime = self._real
