"""Nothing that is secret gets into a log line, by name or by look, from us or from a library."""

import io
import json
import logging

import pytest
import sqlalchemy
import structlog
from hypothesis import given
from hypothesis import strategies as st

from portico.crypto.keyring import Keyring, generate_line
from portico.model.errors import InvalidToken
from portico.model.secret import Secret
from portico.storage.engine import Database
from portico.storage.migrate import migrate
from portico.telemetry import logs
from portico.telemetry.counters import Counters
from portico.telemetry.redaction import MAX_TEXT, redact, redact_text

CANARY = "canary4711canary4711canary4711"


@pytest.fixture
def lines():
    stream = io.StringIO()
    logs.configure(json=True, level="debug", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.getLogger().handlers = []


@pytest.mark.case("H10", "T27")
@pytest.mark.parametrize(
    "field",
    ["authorization", "Authorization", "cookie", "set-cookie", "password", "new_password", "client_secret", "token",
     "access_token", "refresh_token", "code_verifier", "api_key", "private_key", "assertion", "Mcp-Session-Id",
     "clientSecret", "code", "authorizationCode", "X-Api-Key", "codeVerifier"],
)  # fmt: skip
def test_a_field_of_a_secret_name_prints_stars(lines, field):
    logs.get("t").info("something", **{field: CANARY})
    assert CANARY not in json.dumps(lines())


@pytest.mark.case("H10", "T27")
@pytest.mark.parametrize(
    "text",
    [
        f"header was Bearer {CANARY}",
        f"Basic {CANARY}==",
        f"eyJhbGciOiJFUzI1NiJ9.{CANARY}.{CANARY}",
        f"GET /callback?state={CANARY}&code={CANARY}#x",
        f"client_secret={CANARY}",
        f'{{"refresh_token": "{CANARY}", "token_type": "Bearer"}}',
        f"sealed v1.k1.{CANARY}",
        f"portico_{CANARY}",
        f"$argon2id$v=19$m=65536,t=3,p=4${CANARY}",
        f"postgresql://portico:{CANARY}@db.example/portico",
    ],
)
def test_a_value_that_looks_like_a_secret_is_cut_out_wherever_it_stands(lines, text):
    logger = logs.get("t")
    logger.info(text)
    logger.info("x", note=text, deep={"list": [text, {"more": text}]}, raw=text.encode())
    logger.error("failed", exc_info=InvalidToken("bad", detail=text))
    logging.getLogger("uvicorn.error").error("from a library: %s", text)
    assert len(lines()) == 4
    assert CANARY not in json.dumps(lines())


def test_what_is_no_secret_stays_readable(lines):
    logs.bind_request_id("req-1")
    logs.get("portico.gateway").warning("call failed", code="upstream_timeout", status_code=504, target="calculator")
    structlog.contextvars.clear_contextvars()
    (line,) = lines()
    assert line["event"] == "call failed"
    assert line["request_id"] == "req-1"
    assert (line["code"], line["status_code"], line["target"]) == ("upstream_timeout", 504, "calculator")
    assert line["logger"] == "portico.gateway"


@pytest.mark.case("H10")
async def test_the_database_driver_logs_no_statement_at_any_level(lines, tmp_path):
    await migrate(f"sqlite:///{tmp_path}/x.db")
    database = await Database.open(f"sqlite:///{tmp_path}/x.db")
    async with database.write() as conn:
        await conn.execute(sqlalchemy.text("SELECT :value"), {"value": CANARY})
    await database.aclose()
    assert CANARY not in json.dumps(lines())


@pytest.mark.case("H10")
def test_a_real_sealed_value_and_a_secret_object_do_not_show():
    sealed = Keyring.parse(generate_line("k1")).seal("state", b"hello")
    assert sealed.split(".")[2] not in redact_text(f"state was {sealed}!")
    assert CANARY not in str(redact({"holder": Secret(CANARY)}))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))  # fmt: skip
def test_any_value_can_be_logged(value):
    json.dumps(redact(value))


def test_a_hundred_kilobytes_are_cut_and_cost_no_time():
    assert len(redact_text("Bearer " * 20_000)) <= MAX_TEXT + 10


def test_counters_count_by_name_and_labels():
    counters = Counters()
    counters.add("calls", "ok")
    counters.add("calls", "ok", amount=2)
    counters.add("calls", "denied")
    assert counters.get("calls", "ok") == 3
    assert counters.snapshot() == {"calls": {("denied",): 1, ("ok",): 3}}
