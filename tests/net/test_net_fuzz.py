"""Whatever bytes arrive, in whatever pieces: a Response or an UpstreamError, in bounded time, nothing left behind."""

import asyncio
import contextlib
import os
from itertools import pairwise

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from raw_server import RawServer, until

from portico.model.errors import UpstreamError
from portico.net.egress import Egress
from portico.net.relay import Peer, Relay, RelayStats, Response, Timeouts

LIMIT = 10_000
SHORT = Timeouts(connect=60, first_byte=0.15, idle=0.15, total=0.3)  #: most bad answers say nothing more
PATIENT = Timeouts(connect=60, first_byte=60, idle=60, total=60)  #: for answers that are good
EXAMPLES = int(os.environ.get("PORTICO_FUZZ_EXAMPLES", "250"))

_status = st.sampled_from([b"200", b"204", b"304", b"404", b"100", b"103", b"101", b"000", b"999", b"20", b"2x0"])
_version = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.", b"ICY"])
_name = st.sampled_from(
    [
        b"Content-Length",
        b"Transfer-Encoding",
        b"Connection",
        b"Keep-Alive",
        b"Content-Encoding",
        b"Upgrade",
        b"X",
        b"Content-Type",
        b"Content-Length ",
        b"",
    ]
) | st.binary(max_size=8)
_value = st.sampled_from(
    [b"0", b"2", b"5", b"chunked", b"gzip, chunked", b"close", b"keep-alive", b"timeout=1", b"identity", b"h2c", b"-1"]
) | st.binary(max_size=12)
_line_end = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b""])
_header = st.tuples(_name, st.sampled_from([b": ", b":", b" "]), _value, _line_end).map(b"".join)
_chunk = st.tuples(
    st.sampled_from([b"0", b"1", b"2", b"a", b"ffffffffffffffff", b"2;x=y", b"", b"-1", b"zz"]),
    _line_end,
    st.binary(max_size=12),
    _line_end,
).map(b"".join)
_message = st.tuples(
    _version,
    st.just(b" "),
    _status,
    st.sampled_from([b" OK", b"", b" \x00", b" a b"]),
    _line_end,
    st.lists(_header, max_size=4).map(b"".join),
    _line_end,
    st.lists(_chunk, max_size=3).map(b"".join) | st.binary(max_size=30),
).map(b"".join)

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"


@st.composite
def _mutated(draw):
    """A good answer with some bytes changed, dropped, doubled."""
    answer = bytearray(draw(st.sampled_from([GOOD, CHUNKED, GOOD + CHUNKED, b"HTTP/1.1 100 C\r\n\r\n" + GOOD])))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(answer) - 1))
        answer[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
        if not answer:
            return b""
    return bytes(answer)


_answer = st.one_of(
    _mutated(), _message, st.lists(_message, min_size=1, max_size=3).map(b"".join), st.binary(max_size=80)
)


@st.composite
def _pieces(draw):
    answer = draw(_answer)
    cuts = sorted(draw(st.lists(st.integers(0, len(answer)), max_size=6)))
    edges = [0, *cuts, len(answer)]
    return [answer[a:b] for a, b in pairwise(edges) if a < b]


class House:
    """A server and a relay on one loop that outlives the examples."""

    def __init__(self, loop_factory):
        self.runner = asyncio.Runner(loop_factory=loop_factory)
        self.pieces = []
        self.ending = ""
        self.runner.run(self._open())

    async def _open(self):
        self.server = RawServer(self._script)
        await self.server.start()
        self.relay = Relay(egress=Egress())
        self.peer = Peer(url=self.server.url, allow_private=True, max_connections=4)

    async def _script(self, line, request):
        await line.write(*self.pieces)
        if self.ending == "close":
            line.close()
        elif self.ending == "reset":
            line.writer.transport.abort()

    def ask(self, pieces, ending, *, streamed, timeouts):
        self.pieces, self.ending, self.timeouts = pieces, ending, timeouts
        return self.runner.run(self._ask(streamed=streamed))

    async def _ask(self, *, streamed):
        # twice, so that what the first leaves on the connection meets a second request
        async with asyncio.timeout(30):
            outcomes = [await self._once(streamed=streamed) for _ in range(2)]
        return outcomes, self.relay.stats()

    async def _once(self, *, streamed):
        try:
            response = await self.relay.send(self.peer, b"POST", b"/", (), b"{}", timeouts=self.timeouts)
        except UpstreamError as error:
            return error
        try:
            if streamed:
                async with contextlib.aclosing(response.chunks()) as chunks:
                    async for _ in chunks:
                        pass
            else:
                await response.read(LIMIT)
        except UpstreamError as error:
            return error
        finally:
            await response.aclose()
        return response

    def close(self):
        async def close():
            await self.relay.aclose()
            await until(lambda: self.server.open == 0)
            await self.server.stop()
            return asyncio.all_tasks() - {asyncio.current_task()}

        assert self.runner.run(close()) == set()
        assert self.relay.stats() == RelayStats(open=0, idle=0, in_flight=0, waiting=0)
        self.runner.close()


@pytest.fixture(scope="module", params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def house(request):
    house = House(request.param)
    yield house
    house.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(pieces=[GOOD + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"], ending="", streamed=False)
@example(pieces=[GOOD[:20], GOOD[20:]], ending="reset", streamed=True)
@example(pieces=[CHUNKED], ending="close", streamed=True)
@given(pieces=_pieces(), ending=st.sampled_from(["", "close", "close", "close", "reset"]), streamed=st.booleans())
def test_any_answer_is_a_response_or_an_upstream_error_and_nothing_leaks(house, pieces, ending, streamed):
    outcomes, stats = house.ask(pieces, ending, streamed=streamed, timeouts=SHORT)
    for outcome in outcomes:
        assert isinstance(outcome, Response | UpstreamError)
        if isinstance(outcome, Response):
            assert 200 <= outcome.status < 600
            assert all(name == name.lower() for name, _ in outcome.headers)
    assert stats.in_flight == stats.waiting == 0
    assert stats.open <= 4


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    cuts=st.lists(st.integers(1, len(CHUNKED) - 1), max_size=12),
    answer=st.sampled_from([GOOD, CHUNKED, b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" + GOOD]),
    streamed=st.booleans(),
)
def test_a_good_answer_is_read_the_same_however_it_is_cut(house, cuts, answer, streamed):
    edges = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    pieces = [answer[a:b] for a, b in pairwise(edges)]
    outcomes, stats = house.ask(pieces, "", streamed=streamed, timeouts=PATIENT)
    assert [type(outcome) for outcome in outcomes] == [Response, Response]
    assert {outcome.status for outcome in outcomes} == {200}
    assert stats.open == stats.idle >= 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(body=st.binary(max_size=300), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), cut=st.integers(1, 20))
def test_a_chunked_body_is_what_was_sent(house, body, sizes, cut):
    wire = bytearray(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    rest, number = body, 0
    while rest:
        size = sizes[number % len(sizes)]
        part, rest, number = rest[:size], rest[size:], number + 1
        wire += b"%x\r\n%b\r\n" % (len(part), part)
    wire += b"0\r\n\r\n"

    async def ask():
        response = await house.relay.send(house.peer, b"POST", b"/", (), b"{}", timeouts=PATIENT)
        return await response.read(LIMIT)

    house.pieces, house.ending = [bytes(wire[n : n + cut]) for n in range(0, len(wire), cut)], ""
    assert house.runner.run(ask()) == body
