"""Documents of clients over real connections: what is fetched, what is kept, what nobody can make an issuer do."""

import asyncio
import datetime as dt
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portico.issuer import client_documents
from portico.issuer.client_documents import (
    BLIND_SECONDS,
    BURST,
    MAX_AT_ONCE,
    RETRY_SECONDS,
    STALE_SECONDS,
    ClientDocuments,
)
from portico.model.errors import LimitExceeded, Unavailable
from portico.model.oauth_errors import InvalidClientMetadata
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.oauth.client_document_settings import ClientDocumentSettings
from portico.oauth.issuer_settings import IssuerSettings

JSON = b"application/json"
LOOPBACK = "http://localhost/callback"


class Clock:
    """Stands until it is moved."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Host:
    """A server that publishes documents, and notes who asked for what."""

    def __init__(self) -> None:
        self.accepted = 0
        self.requests: list[bytes] = []
        self.changed = asyncio.Condition()
        self.release = asyncio.Event()
        self.answer: Callable[[str], bytes] = self.document
        self.headers = b""
        self.slow = False  #: answers once it is released
        self.hold = False  #: keeps the connection after what it answered
        self._lines: set[asyncio.Task[Any]] = set()

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self.scheme = "https" if context else "http"
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for line in tuple(self._lines):
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def url(self, path: str = "/client.json", name: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{name}:{self.port}{path}"

    def document(self, client_id: str, **more: Any) -> bytes:
        members = {"client_id": client_id, "client_name": "App", "redirect_uris": [LOOPBACK], **more}
        return reply(json.dumps(members).encode(), headers=self.headers)

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: len(self.requests) >= times)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        self.accepted += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            async with self.changed:
                self.changed.notify_all()
            if self.slow:
                await self.release.wait()
            path = head.split(b" ")[1].decode()
            name = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"host:"))[5:].strip().decode()
            writer.write(self.answer(f"{self.scheme}://{name}{path}"))
            await writer.drain()
            if self.hold:
                await reader.read()  # until the client goes
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._lines.discard(task)


def reply(body: bytes, *, status: bytes = b"200 OK", kind: bytes = JSON, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s" % (
        status,
        kind,
        len(body),
        headers,
        body,
    )


def issuer(**policy: Any) -> IssuerSettings:
    return IssuerSettings(name="main", client_documents=ClientDocumentSettings(**{"allow_private": True, **policy}))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def addresses() -> list[str]:
    """What every name resolves to."""
    return ["127.0.0.1"]


@pytest.fixture
async def documents(clock: Clock, addresses: list[str]) -> AsyncIterator[ClientDocuments]:
    async def lookup(name: str, _port: int) -> list[str]:
        if name.endswith(".invalid"):
            raise OSError(name)
        return list(addresses)

    fetcher = Fetcher(egress=Egress(lookup=lookup))
    made = ClientDocuments(fetcher, clock=clock)
    yield made
    await made.aclose()
    await fetcher.aclose()


async def test_a_client_is_what_its_document_says(documents: ClientDocuments, host: Host):
    client = await documents.get(host.url("/a/b,c@d=e:f!g$h*i+j~k.json"), issuer())
    assert client is not None
    assert (client.id, client.kind, client.name) == (host.url("/a/b,c@d=e:f!g$h*i+j~k.json"), "document", "App")
    assert client.redirect_uris == (LOOPBACK,)
    (asked,) = host.requests
    assert asked.startswith(b"GET /a/b,c@d=e:f!g$h*i+j~k.json HTTP/1.1\r\n")  # the text of the client id, unchanged
    assert b"\r\nAccept: application/json\r\n" in asked
    assert not any(word in asked.lower() for word in (b"cookie", b"authorization", b"referer"))


async def test_a_document_comes_over_https_from_the_name_that_its_certificate_is_for(
    documents: ClientDocuments, tmp_path: Path
):
    host = Host()
    await host.start(certified("app.example", tmp_path))
    assert await documents.get(host.url(name="app.example"), issuer())
    with pytest.raises(InvalidClientMetadata, match="could not be fetched"):
        await documents.get(host.url(name="other.example"), issuer())
    assert len(host.requests) == 1
    await host.stop()


async def test_what_is_no_url_and_what_is_switched_off_is_unknown_and_nothing_is_fetched(
    documents: ClientDocuments, host: Host
):
    assert await documents.get("v1.k1.sealed", issuer()) is None
    assert await documents.get(host.url(), issuer(enabled=False)) is None
    for refused in (issuer(denied_hosts=("127.0.0.1",)), issuer(allowed_hosts=("a.example",)), issuer(allow_private=0)):
        with pytest.raises(InvalidClientMetadata):
            await documents.get(host.url(), refused)
    assert host.accepted == 0


@pytest.mark.case("F08")
@pytest.mark.parametrize("end", ["/client.json?x", "/client.json#x", "/a/../b", "/%2e%2e/b", "/", "", "/a\\b"])
async def test_a_url_of_another_form_is_never_fetched(documents: ClientDocuments, host: Host, end: str):
    with pytest.raises(InvalidClientMetadata):
        await documents.get(host.url(end), issuer())
    assert host.accepted == 0


# Documents that misbehave


def good(client_id: str, **more: Any) -> bytes:
    members = {"client_id": client_id, "client_name": "App", "redirect_uris": [LOOPBACK], **more}
    return json.dumps(members).encode()


MISBEHAVING: dict[str, Callable[[str], bytes]] = {
    "a redirect": lambda url: reply(b"", status=b"302 Found", headers=b"Location: %s2\r\n" % url.encode()),
    "a permanent redirect": lambda url: reply(
        good(url), status=b"308 Permanent Redirect", headers=b"Location: %s2\r\n" % url.encode()
    ),
    "another success": lambda url: reply(good(url), status=b"203 Non-Authoritative Information"),
    "not found": lambda url: reply(good(url), status=b"404 Not Found"),
    "an error": lambda url: reply(good(url), status=b"503 Service Unavailable"),
    "a page": lambda url: reply(good(url), kind=b"text/html"),
    "text": lambda url: reply(good(url), kind=b"text/plain; charset=application/json"),
    "no type": lambda url: reply(good(url), kind=b""),
    "too large": lambda url: reply(good(url, padding="x" * 5200)),
    "large by its own account": lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b" " * 90_000,
    "a bomb": lambda url: reply(gzip.compress(good(url) + b" " * 10**7), headers=b"Content-Encoding: gzip\r\n"),
    "no HTTP": lambda _: b"\x16\x03\x01 nonsense\r\n\r\n",
    "nothing": lambda _: b"",
    "no JSON": lambda _: reply(b"<html>"),
    "a secret": lambda url: reply(good(url, client_secret="hunter2")),
    "a private key": lambda url: reply(good(url, jwks={"keys": [{"kty": "oct", "k": "hunter2"}]})),
    "a shared secret": lambda url: reply(good(url, token_endpoint_auth_method="client_secret_post")),
    "another client": lambda url: reply(good(url + "2")),
    "a member twice": lambda url: reply(good(url).replace(b'"client_name"', b'"client_id": "x", "client_name"')),
    "a dangerous redirect URI": lambda url: reply(good(url, redirect_uris=["javascript:alert(1)"])),
}


@pytest.mark.case("F10", "T28")
@pytest.mark.parametrize("fault", MISBEHAVING)
async def test_a_document_that_misbehaves_is_refused_and_not_remembered(
    documents: ClientDocuments, host: Host, fault: str
):
    host.answer = MISBEHAVING[fault]
    with pytest.raises(InvalidClientMetadata) as refused:
        await documents.get(host.url(), issuer())
    assert "hunter2" not in str(refused.value)
    # No redirect was followed; a request that got no byte of an answer is repeated by the client library, once.
    assert len(host.requests) == (2 if fault == "nothing" else 1)
    host.answer = host.document
    assert await documents.get(host.url(), issuer())


@pytest.mark.case("F10")
async def test_a_document_that_never_ends_is_given_up(
    documents: ClientDocuments, host: Host, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client_documents, "FETCH_SECONDS", 0.2)
    host.hold = True
    host.answer = lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    async with asyncio.timeout(30):
        with pytest.raises(InvalidClientMetadata):
            await documents.get(host.url(), issuer())


@pytest.mark.parametrize("kind", [b"application/json; charset=utf-8", b"Application/JSON", b"application/client+json"])
async def test_json_has_more_than_one_name(documents: ClientDocuments, host: Host, kind: bytes):
    host.answer = lambda url: reply(good(url), kind=kind)
    assert await documents.get(host.url(), issuer())


# Addresses


@pytest.mark.case("F11", "T16")
@pytest.mark.parametrize(
    "resolved",
    [
        *(
            ["127.0.0.1"],
            ["10.0.0.1"],
            ["192.168.1.1"],
            ["169.254.169.254"],
            ["0.0.0.0"],
            ["100.64.0.1"],
            ["224.0.0.1"],
        ),
        *(["::1"], ["::"], ["fd00:ec2::254"], ["fe80::1"], ["::ffff:127.0.0.1"], ["64:ff9b::a9fe:a9fe"]),
        *(["2002:7f00:1::"], ["2001:0:7f00:1::"], ["100.100.100.200"], ["8.8.8.8", "127.0.0.1"]),
    ],
)
async def test_a_name_that_leads_inside_is_not_dialled(
    documents: ClientDocuments, host: Host, addresses: list[str], resolved: list[str]
):
    addresses[:] = resolved
    name = f"inside.example:{host.port}"
    with pytest.raises(InvalidClientMetadata) as refused:
        await documents.get(f"https://{name}/x", issuer(allow_private=False, allowed_hosts=(name,)))
    assert host.accepted == 0
    assert refused.value.public.startswith(f"The application's document could not be fetched from {name}.")


@pytest.mark.case("F11")
async def test_nobody_learns_which_names_exist_inside(documents: ClientDocuments):
    told = set[str]()
    for name in ("intranet.example", "intranet.invalid"):
        with pytest.raises(InvalidClientMetadata) as refused:
            await documents.get(f"https://{name}/x", issuer(allow_private=False))
        told.add(refused.value.public.replace(name, "it"))
    assert len(told) == 1


@pytest.mark.case("T16")
async def test_a_name_is_resolved_anew_at_each_fetch(
    documents: ClientDocuments, host: Host, addresses: list[str], clock: Clock
):
    assert await documents.get(host.url(name="app.example"), issuer())
    clock.now += 3600
    addresses[:] = ["169.254.169.254"]
    with pytest.raises(InvalidClientMetadata):
        await documents.get(host.url(name="app.example"), issuer())
    assert host.accepted == 1


async def test_what_was_fetched_from_inside_is_not_for_issuers_that_may_not(
    documents: ClientDocuments, host: Host, clock: Clock
):
    url, named = host.url(name="app.example"), (f"app.example:{host.port}",)
    https = url.replace("http:", "https:")
    assert await documents.get(url, issuer(allowed_hosts=named))
    for strict in (url, https):
        with pytest.raises(InvalidClientMetadata):
            await documents.get(strict, issuer(allowed_hosts=named, allow_private=False))
    assert host.accepted == 1


# What is kept


async def test_a_document_is_kept_as_long_as_its_headers_say(documents: ClientDocuments, host: Host, clock: Clock):
    host.headers = b"Cache-Control: public, max-age=600\r\n"
    for _ in range(3):
        assert await documents.get(host.url(), issuer())
        clock.now += 199
    assert len(host.requests) == 1
    clock.now += 4
    assert await documents.get(host.url(), issuer())
    assert len(host.requests) == 2


async def test_a_login_sees_one_document_even_when_nothing_is_to_be_kept(
    documents: ClientDocuments, host: Host, clock: Clock
):
    host.headers = b"Cache-Control: no-store\r\n"
    for _ in range(4):
        assert await documents.get(host.url(), issuer())
        clock.now += 14
    assert len(host.requests) == 1
    clock.now += 14
    assert await documents.get(host.url(), issuer())
    assert len(host.requests) == 2


async def test_a_document_that_changed_is_another_client_after_its_time(
    documents: ClientDocuments, host: Host, clock: Clock
):
    assert await documents.get(host.url(), issuer())
    host.answer = lambda url: host.document(url, client_name="New", redirect_uris=["http://127.0.0.1/new"])
    clock.now += 3600
    client = await documents.get(host.url(), issuer())
    assert client is not None
    assert (client.name, client.redirect_uris) == ("New", ("http://127.0.0.1/new",))


async def test_a_change_of_the_settings_counts_at_once(documents: ClientDocuments, host: Host):
    assert await documents.get(host.url(), issuer())
    for changed in (issuer(denied_hosts=("127.0.0.1",)), issuer(allowed_hosts=("a.example",))):
        with pytest.raises(InvalidClientMetadata):
            await documents.get(host.url(), changed)
    assert await documents.get(host.url(), issuer(enabled=False)) is None
    assert len(host.requests) == 1


@pytest.mark.case("T28")
async def test_memory_is_bounded_and_what_is_used_stays(
    documents: ClientDocuments, host: Host, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client_documents, "MAX_DOCUMENTS", 2)
    for path in ("/a", "/b", "/a", "/c", "/a", "/b"):
        assert await documents.get(host.url(path), issuer())
    asked = [request.split(b" ")[1] for request in host.requests]
    assert asked == [b"/a", b"/b", b"/c", b"/b"]


@pytest.mark.parametrize("absence", [b"HTTP/1.1 503 Away\r\n\r\n", b"HTTP/1.1 429 Later\r\n\r\n", b"\x16\x03\x01\r\n"])
async def test_a_known_document_outlives_a_day_of_its_hosts_absence(
    documents: ClientDocuments, host: Host, clock: Clock, absence: bytes
):
    assert await documents.get(host.url(), issuer())
    host.answer = lambda _: absence
    clock.now += 301
    for _ in range(5):
        assert await documents.get(host.url(), issuer())
    assert len(host.requests) == 2  # it is left alone for a while
    clock.now += RETRY_SECONDS
    assert await documents.get(host.url(), issuer())
    assert len(host.requests) == 3
    clock.now += STALE_SECONDS
    with pytest.raises(InvalidClientMetadata):
        await documents.get(host.url(), issuer())


async def test_headers_can_forbid_that_a_document_outlives_its_time(
    documents: ClientDocuments, host: Host, clock: Clock
):
    host.headers = b"Cache-Control: max-age=600, must-revalidate\r\n"
    assert await documents.get(host.url(), issuer())
    host.answer = lambda _: reply(b"", status=b"503 Service Unavailable")
    clock.now += 601
    with pytest.raises(InvalidClientMetadata):
        await documents.get(host.url(), issuer())


@pytest.mark.parametrize("fault", ["not found", "a secret", "another client", "a redirect"])
async def test_a_document_that_was_taken_back_is_gone_at_once(
    documents: ClientDocuments, host: Host, clock: Clock, fault: str
):
    assert await documents.get(host.url(), issuer())
    host.answer = MISBEHAVING[fault]
    clock.now += 301
    with pytest.raises(InvalidClientMetadata):
        await documents.get(host.url(), issuer())
    host.answer = MISBEHAVING["an error"]
    with pytest.raises(InvalidClientMetadata):  # nothing old is left to go on with
        await documents.get(host.url(), issuer())


# Many at once


async def test_many_who_wait_for_one_document_cause_one_fetch(documents: ClientDocuments, host: Host):
    host.slow = True
    waiting = [asyncio.create_task(documents.get(host.url(), issuer())) for _ in range(50)]
    await host.until_asked(1)
    host.release.set()
    assert {client.name for client in await asyncio.gather(*waiting) if client} == {"App"}
    assert len(host.requests) == 1


async def test_who_gives_up_takes_nothing_from_those_who_wait(documents: ClientDocuments, host: Host):
    host.slow = True
    first = asyncio.create_task(documents.get(host.url(), issuer()))
    await host.until_asked(1)
    second = asyncio.create_task(documents.get(host.url(), issuer()))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    host.release.set()
    assert await second
    assert len(host.requests) == 1


async def test_all_who_wait_learn_of_a_fault_each_by_an_error_of_their_own(documents: ClientDocuments, host: Host):
    host.slow, host.answer = True, MISBEHAVING["not found"]
    waiting = [asyncio.create_task(documents.get(host.url(), issuer())) for _ in range(5)]
    await host.until_asked(1)
    host.release.set()
    faults = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(fault) for fault in faults} == {InvalidClientMetadata}
    assert len({id(fault) for fault in faults}) == 5
    assert len(host.requests) == 1


@pytest.mark.case("F10", "T28")
async def test_nobody_can_make_an_issuer_hammer_a_site(documents: ClientDocuments, host: Host, clock: Clock):
    host.answer = MISBEHAVING["not found"]
    waits: list[float] = []
    for number in range(40):  # names below one domain count together: they are free to make
        with pytest.raises((LimitExceeded, InvalidClientMetadata)) as refused:
            await documents.get(host.url(f"/{number}", name=f"a{number}.app.example"), issuer())
        if isinstance(refused.value, LimitExceeded):
            waits.append(refused.value.retry_after)
    assert len(host.requests) == 40 - len(waits) == BURST
    assert all(0 < wait <= 2 for wait in waits)
    with pytest.raises(InvalidClientMetadata):  # another site does not suffer
        await documents.get(host.url(name="other.test"), issuer())
    clock.now += waits[-1]
    with pytest.raises(InvalidClientMetadata):  # nor does this one for long
        await documents.get(host.url(name="app.example"), issuer())


async def test_a_flood_of_made_up_documents_leaves_those_that_are_known(
    documents: ClientDocuments, host: Host, clock: Clock
):
    known = host.url("/known")
    assert await documents.get(known, issuer())
    clock.now += 301
    await flood(documents, host)
    assert await documents.get(known, issuer())
    assert b"GET /known" in host.requests[-1]


async def test_a_named_host_bears_its_own_fetches(documents: ClientDocuments, host: Host):
    await flood(documents, host, name="evil.example")
    named = issuer(allowed_hosts=("*", f"app.evil.example:{host.port}"))
    assert await documents.get(host.url(name="app.evil.example"), named)


async def test_slow_strangers_do_not_keep_named_hosts_waiting(documents: ClientDocuments, host: Host):
    fast = Host()
    await fast.start()
    host.slow = True
    strangers = [
        asyncio.create_task(documents.get(host.url(name=f"stranger{number}.test{number}"), issuer()))
        for number in range(MAX_AT_ONCE)
    ]
    await host.until_asked(MAX_AT_ONCE)
    with pytest.raises(LimitExceeded):
        await documents.get(fast.url(name="one.more"), issuer())
    assert await documents.get(fast.url(name="app.example"), issuer(allowed_hosts=(f"app.example:{fast.port}",)))
    host.release.set()
    assert all(await asyncio.gather(*strangers))
    assert await documents.get(fast.url(name="one.more"), issuer())
    await fast.stop()


async def test_a_known_document_is_used_a_little_longer_rather_than_refused_when_too_much_is_under_way(
    documents: ClientDocuments, host: Host, clock: Clock
):
    known = host.url(name="app.example")
    assert await documents.get(known, issuer())
    clock.now += 301
    host.slow = True
    strangers = [
        asyncio.create_task(documents.get(host.url(name=f"stranger{number}.test{number}"), issuer()))
        for number in range(MAX_AT_ONCE)
    ]
    await host.until_asked(1 + MAX_AT_ONCE)
    assert await documents.get(known, issuer())
    assert len(host.requests) == 1 + MAX_AT_ONCE
    clock.now += STALE_SECONDS
    with pytest.raises(LimitExceeded):
        await documents.get(known, issuer())
    host.release.set()
    assert all(await asyncio.gather(*strangers))


async def test_closing_ends_what_is_under_way(documents: ClientDocuments, host: Host):
    host.slow = True
    waiting = asyncio.create_task(documents.get(host.url(), issuer()))
    await host.until_asked(1)
    async with asyncio.timeout(30):
        await documents.aclose()
        with pytest.raises(Unavailable):
            await waiting


async def flood(documents: ClientDocuments, host: Host, *, name: str = "127.0.0.1") -> None:
    """Ask for documents that do not exist until the site is asked no more."""
    host.answer = MISBEHAVING["not found"]
    for number in range(BURST + 5):
        with pytest.raises((LimitExceeded, InvalidClientMetadata)) as last:
            await documents.get(host.url(f"/{number}", name=name), issuer())
    assert last.type is LimitExceeded
    host.answer = host.document


def certified(name: str, directory: Path) -> ssl.SSLContext:
    """Return the context of a server for ``name`` whose certificate this process trusts from now on."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "server.pem"
    file.write_bytes(private + public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    trust(public)
    return context


def trust(certificate: bytes) -> None:
    """The client library makes its context once, when it is imported; SSL_CERT_FILE would come too late."""
    from aiohttp import connector

    connector._SSL_CONTEXT_VERIFIED.load_verify_locations(cadata=certificate.decode())


async def test_where_nothing_can_be_reached_documents_are_not_offered_for_a_while(
    documents: ClientDocuments, host: Host, clock: Clock
):
    assert not documents.blind
    with pytest.raises(InvalidClientMetadata):
        await documents.get("https://away.invalid/client.json", issuer())
    assert documents.blind
    clock.now += BLIND_SECONDS
    assert not documents.blind
    await documents.get(host.url(), issuer())
    with pytest.raises(InvalidClientMetadata):
        await documents.get("https://away.invalid/client.json", issuer())
    assert not documents.blind, "somebody was reached, so it is that host alone"


async def test_a_host_that_answers_badly_was_reached(documents: ClientDocuments, host: Host):
    host.answer = lambda _: reply(b"", status=b"404 Not Found")
    with pytest.raises(InvalidClientMetadata):
        await documents.get(host.url(), issuer())
    assert not documents.blind
