"""Gateways and targets, and what targets are called with."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from portico.storage.schema.base import account, metadata, new_stamp

gateways = Table(
    "gateways",
    metadata,
    account(),
    Column("id", String(120), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("document", JSON, nullable=False),  # CreateGateway as AWS shapes it
    Column("extension", JSON, nullable=False),  # x-portico
    Column("status", String(40), nullable=False),
    Column("status_reasons", JSON, nullable=False),
    Column("managed_by", String(200), nullable=False, default=""),  # the file that declares it; empty: the API
    Column("revision", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("account", "name"),
)

targets = Table(
    "targets",
    metadata,
    account(),
    Column("id", String(10), primary_key=True),
    Column("gateway_id", String(120), nullable=False),
    Column("name", String(100), nullable=False),
    Column("document", JSON, nullable=False),  # CreateGatewayTarget as AWS shapes it
    Column("extension", JSON, nullable=False),
    Column("status", String(40), nullable=False),
    Column("status_reasons", JSON, nullable=False),
    Column("eras", LargeBinary, nullable=True),  # model.documents.dump_eras, of the last good synchronization
    Column("synchronized_at", BigInteger, nullable=True),
    Column("managed_by", String(200), nullable=False, default=""),
    Column("revision", Integer, nullable=False),
    # Another number after every write, so that a replica reads those rows again that changed since it read them.
    Column("stamp", BigInteger, nullable=False, server_default="0", default=new_stamp, onupdate=new_stamp),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("gateway_id", "name"),
    ForeignKeyConstraint(["gateway_id"], ["gateways.id"], ondelete="CASCADE"),
)

credential_providers = Table(
    "credential_providers",
    metadata,
    account(),
    Column("kind", String(10), nullable=False),  # oauth2 | api_key
    Column("name", String(128), nullable=False),
    Column("vendor", String(64), nullable=False, default=""),
    Column("document", JSON, nullable=False),  # the request as AWS shapes it, without its secrets
    Column("sealed", Text, nullable=False),  # the secrets, purpose "credential-provider", aad account|kind|name
    Column("callback_id", String(64), nullable=False, default=""),
    Column("managed_by", String(200), nullable=False, default=""),
    Column("revision", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "kind", "name"),
    Index(None, "callback_id"),
)

workload_identities = Table(
    "workload_identities",
    metadata,
    account(),
    Column("name", String(255), nullable=False),
    Column("document", JSON, nullable=False),  # CreateWorkloadIdentity as AWS shapes it
    Column("owner", Text, nullable=False, default=""),  # the id of the gateway that it was made for
    Column("managed_by", String(200), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "name"),
)

# Tokens of client credentials: one per provider, scopes and resource, for all replicas.
outbound_tokens = Table(
    "outbound_tokens",
    metadata,
    account(),
    Column("key", String(64), nullable=False),  # SHA-256 hex of what the token depends on
    Column("provider", String(128), nullable=False),
    Column("sealed", Text, nullable=False, default=""),  # empty: none was fetched yet, or it was forgotten
    Column("expires_at", Float, nullable=False, default=0),
    Column("refresh_at", Float, nullable=False, default=0),
    Column("lease_owner", String(64), nullable=False, default=""),
    Column("leased_until", Float, nullable=False, default=0),
    Column("last_error", Text, nullable=False, default=""),
    PrimaryKeyConstraint("account", "key"),
    Index(None, "provider"),
)

# Legacy sessions that ended before their time.
ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("number", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),  # the value of the counter ``sessions`` when it ended
    Column("expires_at", BigInteger, nullable=False),  # when it would have ended by itself
    Index(None, "sequence"),
)
