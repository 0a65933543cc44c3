"""Every table. Each row carries the account (the tenant); ``DEFAULT_ACCOUNT`` until more are built.

``counters`` is how replicas learn of changes: whoever changes something bumps the counter of its scope in the
same transaction, readers compare all counters in one statement (design 3.2). Scopes: ``gateway/<id>``,
``issuer/<name>`` (settings, keys), ``revocations``, ``sessions`` (legacy sessions that ended before their time),
``replicas``, ``providers`` (credential providers), ``access-keys`` and ``ended-grants`` (of a façade with a store).
"""

import secrets
from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    true,
)

DEFAULT_ACCOUNT: Final = "000000000000"
_STAMP_BITS: Final = 62  #: fits into a signed column of 64

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _account() -> Column[str]:
    return Column("account", String(12), nullable=False)


def new_stamp() -> int:
    """Return a number that no other write has: a count would begin anew in a database that was restored."""
    return secrets.randbits(_STAMP_BITS)


counters = Table(
    "counters",
    metadata,
    Column("scope", String(200), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

gateways = Table(
    "gateways",
    metadata,
    _account(),
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
    _account(),
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

issuers = Table(
    "issuers",
    metadata,
    _account(),
    Column("name", String(64), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("managed_by", String(200), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    _account(),
    Column("issuer", String(64), nullable=False),
    Column("kid", String(64), primary_key=True),
    Column("sealed", Text, nullable=False),  # private JWK, purpose "signing-key", aad issuer|kid
    Column("public_jwk", JSON, nullable=False),
    Column("state", String(10), nullable=False),  # next | current | previous
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index(None, "issuer"),
)

users = Table(
    "users",
    metadata,
    _account(),
    Column("issuer", String(64), nullable=False),
    Column("subject", String(64), primary_key=True),  # random; the `sub` of tokens
    Column("name", String(320), nullable=False),  # what a local user types at login; room for connector and subject
    Column("display_name", String(255), nullable=False, default=""),
    Column("email", String(255), nullable=False, default=""),
    Column("connector", String(64), nullable=False, server_default=""),  # who knows the person; empty: we, locally
    Column("provider_subject", String(255), nullable=True),  # the provider's name for them; NULL of local users
    Column("password_hash", Text, nullable=False),  # empty: nobody logs in with a password of ours
    Column("password_changed_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger, nullable=True),
    Column("managed_by", String(200), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("issuer", "name"),
    Index(None, "issuer", "connector", "provider_subject", unique=True),  # NULLs are never the same
)

clients = Table(
    "clients",
    metadata,
    _account(),
    Column("issuer", String(64), primary_key=True),
    Column("client_id", String(2048), primary_key=True),
    Column("kind", String(16), nullable=False),  # oauth.client.ClientKind
    Column("name", String(255), nullable=False),
    Column("secret_hash", String(64), nullable=False, default=""),  # SHA-256 hex of 32 random bytes
    Column("redirect_uris", JSON, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("default_resource", String(2048), nullable=False, default=""),
    Column("pkce_required", Boolean, nullable=False, server_default=true()),
    Column("disabled_at", BigInteger, nullable=True),
    Column("deleted_at", BigInteger, nullable=True),  # the row stays: a sealed id must stay refused
    Column("managed_by", String(200), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    _account(),
    Column("id", String(32), primary_key=True),
    Column("issuer", String(64), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("client_id", String(2048), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("resource", String(2048), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    Column("upstream", Text, nullable=False, server_default=""),  # the provider's tokens, sealed; empty: none are kept
    Column("upstream_checked_at", BigInteger, nullable=False, server_default="0"),
    Column("upstream_lease", BigInteger, nullable=False, server_default="0"),  # until when one process asks for all
    Index(None, "issuer", "subject"),
    Index(None, "issuer", "client_id"),
)

authorization_codes = Table(
    "authorization_codes",
    metadata,
    _account(),
    Column("code_hash", String(64), primary_key=True),  # SHA-256 hex
    Column("issuer", String(64), nullable=False),
    Column("grant_id", String(32), nullable=False),
    Column("client_id", String(2048), nullable=False),
    Column("redirect_uri", String(2048), nullable=False),
    Column("code_challenge", String(128), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("resource", String(2048), nullable=False),
    Column("nonce", String(512), nullable=False, default=""),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=True),
    ForeignKeyConstraint(["grant_id"], ["grants.id"], ondelete="CASCADE"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    _account(),
    Column("token_hash", String(64), primary_key=True),  # SHA-256 hex
    Column("issuer", String(64), nullable=False),
    Column("grant_id", String(32), nullable=False),
    Column("client_id", String(2048), nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # idle lifetime; the grant's expires_at is the absolute one
    Column("used_at", BigInteger, nullable=True),
    Column("successor", Text, nullable=False, default=""),  # sealed; given again within the grace window
    Index(None, "grant_id"),
    ForeignKeyConstraint(["grant_id"], ["grants.id"], ondelete="CASCADE"),
)

revocations = Table(
    "revocations",
    metadata,
    _account(),
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(10), nullable=False),  # grant | client | subject
    Column("issuer", String(2048), nullable=False),  # the issuer's URL as it stands in `iss`
    Column("key", String(2048), nullable=False),
    Column("not_before", BigInteger, nullable=False),  # tokens with iat at or before it are dead
    Column("expires_at", BigInteger, nullable=False),  # no token that it concerns lives longer
)

jobs = Table(
    "jobs",
    metadata,
    _account(),
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

replicas = Table(
    "replicas",
    metadata,
    Column("id", String(64), primary_key=True),  # of one process from its start to its end
    Column("url", String(2048), nullable=False),  # where other replicas reach it
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
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

# What a façade keeps when it is given a database: one-time things that were used, and grants that are over.
spent = Table(
    "spent",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 hex
    Column("kind", String(32), nullable=False),
    Column("spent_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # when it would be refused for its age
    Column("outcome", Text, nullable=False, server_default=""),  # what came of it, sealed
    Index(None, "expires_at"),
)

ended_grants = Table(
    "ended_grants",
    metadata,
    Column("grant_id", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),  # the value of the counter ``ended-grants`` when it ended
    Column("ended_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # when nothing issued under it can live any more
    Index(None, "sequence"),
)

audit_records = Table(
    "audit_records",
    metadata,
    _account(),
    Column("writer", String(64), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("time", Float, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("line", Text, nullable=False),  # the journal's line, byte for byte
    # What is searched for, copied out of the line; verification compares them with it.
    Column("outcome", String(20), nullable=False, default=""),
    Column("gateway", String(120), nullable=False, default=""),
    Column("target", String(100), nullable=False, default=""),
    Column("tool", Text, nullable=False, default=""),
    Column("user", Text, nullable=False, default=""),
    Column("client", Text, nullable=False, default=""),
    Index(None, "time"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    _account(),
    Column("writer", String(64), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("signature", Text, nullable=False),
    Column("closed", Boolean, nullable=False, default=False),
)

credential_providers = Table(
    "credential_providers",
    metadata,
    _account(),
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
    _account(),
    Column("name", String(255), nullable=False),
    Column("document", JSON, nullable=False),  # CreateWorkloadIdentity as AWS shapes it
    Column("owner", Text, nullable=False, default=""),  # the id of the gateway that it was made for
    Column("managed_by", String(200), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "name"),
)

access_keys = Table(
    "access_keys",
    metadata,
    _account(),
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
    _account(),
    Column("arn", String(1024), nullable=False),
    Column("key", String(128), nullable=False),
    Column("value", String(256), nullable=False),
    PrimaryKeyConstraint("account", "arn", "key"),
)

# Answers that a repeated request with the same client token gets again; written with the change itself.
client_tokens = Table(
    "client_tokens",
    metadata,
    _account(),
    Column("operation", String(64), nullable=False),
    Column("token", String(256), nullable=False),
    Column("request_digest", String(64), nullable=False),  # SHA-256 hex
    Column("response", JSON, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "operation", "token"),
    Index(None, "expires_at"),
)

# Tokens of client credentials: one per provider, scopes and resource, for all replicas.
outbound_tokens = Table(
    "outbound_tokens",
    metadata,
    _account(),
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

# Records of changes on their way into the journal: written with the change itself, so that neither lacks the other.
changes = Table(
    "changes",
    metadata,
    _account(),
    Column("id", String(32), primary_key=True),  # stands in the record too
    Column("time", Float, nullable=False),
    Column("record", JSON, nullable=False),  # audit.record.ChangeRecord
    Index(None, "time"),
)
