"""Bytes that are almost HTTP, in any cut, against the whole process: no 500, no hang, nothing left open."""

import socket
import time

import httpx2
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_e2e_audit import call, machine_token

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

ANSWER_SECONDS = 30.0  #: bound for one exchange; the server closes when we have half-closed

METHODS = st.sampled_from([b"GET", b"POST", b"DELETE", b"OPTIONS", b"PUT", b"HEAD", b"TRACE", b"CONNECT", b"PRI", b""])
PATHS = st.sampled_from(
    [b"/", b"*", b"//", b"/g/", b"/g/x/mcp", b"/i/main/token", b"/i/main/register", b"/i/main/authorize?x=%00",
     b"/.well-known/oauth-protected-resource", b"/%2e%2e/g", b"/\xff", b"http://evil/", b"/healthz"]
)  # fmt: skip
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b""])
HEADERS = st.sampled_from(
    [b"content-length: 5", b"content-length: 5\r\ncontent-length: 6", b"content-length: -1", b"content-length: 9e9",
     b"transfer-encoding: chunked", b"transfer-encoding: chunked\r\ncontent-length: 3", b"transfer-encoding: xchunked",
     b"content-type: application/json", b"content-type: application/x-www-form-urlencoded", b"expect: 100-continue",
     b"upgrade: websocket\r\nconnection: upgrade", b"authorization: Bearer x", b"authorization: Basic !!!",
     b"cookie: \x00", b": empty", b"no colon", b"x:\r y", b"host: evil", b"mcp-session-id: v1.a.b", b"origin: null"]
)  # fmt: skip
BODIES = st.sampled_from(
    [b"", b"5\r\nhello\r\n0\r\n\r\n", b"{}", b"[]", b'{"a":', b"ffffffffffffffff\r\n", b"\x00" * 64]
)


@st.composite
def requests(draw):
    line = b" ".join((draw(METHODS), draw(PATHS), draw(VERSIONS)))
    heads = [b"host: 127.0.0.1", *draw(st.lists(HEADERS, max_size=5))]
    whole = line + b"\r\n" + b"\r\n".join(heads) + b"\r\n\r\n" + draw(BODIES) + draw(st.binary(max_size=40))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def exchange(port: int, pieces: list[bytes]) -> bytes:
    """Send the pieces, half-close, and return all that comes back before the server closes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(65536):
                answer += chunk
        except TimeoutError:
            pytest.fail(f"no end within {ANSWER_SECONDS} s: {pieces}")
        except OSError:  # the server may close before we have said everything
            pass
    return answer


def open_sockets(demo) -> int:
    return sum(1 for c in psutil.Process(demo.process.pid).net_connections("tcp") if c.status == "ESTABLISHED")


def test_no_bytes_make_a_500_a_hang_or_a_leak(demo):
    port = int(demo.facts["public_url"].rpartition(":")[2])
    token = machine_token(demo.facts)
    with httpx2.Client(timeout=30, trust_env=False) as http:
        assert call(http, demo.mcp_url, token, "calculator___add_numbers", {"a": 1, "b": 2}).status_code == 200
        before = open_sockets(demo)

        @settings(max_examples=400, suppress_health_check=list(HealthCheck), database=None)
        @given(requests())
        def attack(pieces):
            answer = exchange(port, pieces)
            assert b" 500 " not in answer.split(b"\r\n", 1)[0], (pieces, answer)
            assert b"Traceback" not in answer

        attack()
        assert call(http, demo.mcp_url, token, "calculator___add_numbers", {"a": 1, "b": 2}).status_code == 200
        deadline = time.monotonic() + 30
        while open_sockets(demo) > before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert open_sockets(demo) <= before
