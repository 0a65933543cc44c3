"""What the API and background work need beside the resources themselves, and what replicas tell each other."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from portico.storage.schema.base import account, metadata

counters = Table(
    "counters",
    metadata,
    Column("scope", String(200), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

replicas = Table(
    "replicas",
    metadata,
    Column("id", String(64), primary_key=True),  # of one process from its start to its end
    Column("url", String(2048), nullable=False),  # where other replicas reach it
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    account(),
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(40), nullable=False),
    Column("key", String(200), nullable=False),
    Column("run_at", Float, nullable=False),
    Column("leased_until", Float, nullable=False, default=0),
    Column("lease_owner", String(64), nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("last_error", Text, nullable=False, default=""),
    UniqueConstraint("kind", "key"),
)

access_keys = Table(
    "access_keys",
    metadata,
    account(),
    Column("id", String(128), primary_key=True),
    Column("sealed_secret", Text, nullable=False),  # the secret itself, for HMAC: purpose "access-key", aad id
    Column("name", String(255), nullable=False),
    Column("role", String(20), nullable=False),  # model.access_key.Role
    Column("gateways", JSON, nullable=False),  # ids that it is confined to; empty: all
    Column("disabled_at", BigInteger, nullable=True),
    Column("managed_by", String(200), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=True),
)

tags = Table(
    "tags",
    metadata,
    account(),
    Column("arn", String(1024), nullable=False),
    Column("key", String(128), nullable=False),
    Column("value", String(256), nullable=False),
    PrimaryKeyConstraint("account", "arn", "key"),
)

# Answers that a repeated request with the same client token gets again; written with the change itself.
client_tokens = Table(
    "client_tokens",
    metadata,
    account(),
    Column("operation", String(64), nullable=False),
    Column("token", String(256), nullable=False),
    Column("request_digest", String(64), nullable=False),  # SHA-256 hex
    Column("response", JSON, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "operation", "token"),
    Index(None, "expires_at"),
)
