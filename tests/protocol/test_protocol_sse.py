"""The event stream parser: the same events for any chunking, bounded memory, and what the encoder writes comes back."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.model.errors import UpstreamTooLarge
from portico.protocol.sse import KEEP_ALIVE, SseEvent, SseParser, encode

LIMIT = 1 << 16

_line = st.one_of(
    st.sampled_from([b"", b"data", b"data:", b"data: x", b"event: message", b"event:", b"id: 1", b"id: \0", b": c"]),
    st.binary(max_size=12).map(lambda raw: b"data:" + raw.replace(b"\r", b"").replace(b"\n", b"")),
    st.binary(max_size=12),
)
_stream = st.lists(st.tuples(_line, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=30).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def parse(*chunks: bytes, limit: int = LIMIT) -> list[SseEvent]:
    parser = SseParser(max_event_bytes=limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


@given(stream=_stream, places=st.lists(st.integers(min_value=0, max_value=10_000), max_size=20))
def test_any_chunking_gives_the_same_events(stream, places):
    assert parse(*cut(stream, places)) == parse(stream)


@given(stream=_stream)
def test_one_byte_at_a_time_gives_the_same_events(stream):
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == parse(stream)


@given(data=st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_what_the_encoder_writes_comes_back_with_normalised_line_ends(data):
    stream = b"".join(encode(piece) + KEEP_ALIVE for piece in data)
    expected = [piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") for piece in data]
    assert [event.data for event in parse(stream)] == expected


@given(stream=_stream, limit=st.integers(min_value=1, max_value=64))
def test_memory_stays_within_the_bound_or_the_stream_is_refused(stream, limit):
    parser = SseParser(max_event_bytes=limit)
    try:
        for i in range(len(stream)):
            parser.feed(stream[i : i + 1])
            assert len(parser._line) + len(parser._data) <= limit
            assert len(parser._event) <= limit
            assert len(parser._id) <= limit
    except UpstreamTooLarge:
        return


def test_several_data_lines_are_joined_by_line_feeds():
    assert parse(b"data: a\ndata:b\ndata:  c\n\n") == [SseEvent(b"a\nb\n c")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_kind_of_line_end_ends_a_line(end):
    assert parse(end.join([b"event: note", b"data: a", b"", b"data: b", b"", b""])) == [
        SseEvent(b"a", b"note"),
        SseEvent(b"b"),
    ]


def test_an_event_is_dispatched_with_its_last_byte_and_not_later():
    parser = SseParser(max_event_bytes=LIMIT)
    assert parser.feed(b"data: a\r\n\r") == [SseEvent(b"a")]
    assert parser.feed(b"\ndata: b\n\n") == [SseEvent(b"b")]


def test_a_byte_order_mark_is_skipped_once_even_when_it_is_cut():
    assert parse(b"\xef", b"\xbb\xbfdata: a\n\n") == [SseEvent(b"a")]
    assert parse(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n") == []


def test_comments_unknown_fields_and_unfinished_events_are_dropped():
    assert parse(b": hello\nfoo: bar\nretry: 3\n\ndata: half") == []


def test_a_priming_event_has_an_id_and_no_data():
    assert parse(b"id: 7\ndata:\n\n: later\ndata: x\n\n") == [SseEvent(b"", id=b"7"), SseEvent(b"x", id=b"7")]


def test_an_id_with_a_null_character_is_ignored():
    assert parse(b"id: 1\0\ndata: x\n\n") == [SseEvent(b"x")]


@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * 200, b"data: x\n" * 100, b": " + b"x" * 200, b"event: " + b"x" * 200 + b"\n", b"data:\n" * 101],
)
def test_an_event_over_the_bound_is_refused_however_it_is_built(stream):
    with pytest.raises(UpstreamTooLarge) as caught:
        parse(stream, limit=100)
    assert "100 bytes" in caught.value.public
