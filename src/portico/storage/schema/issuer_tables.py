"""Issuers, who logs in at them, and what was granted; also what a façade with a store keeps."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    true,
)

from portico.storage.schema.base import account, metadata

issuers = Table(
    "issuers",
    metadata,
    account(),
    Column("name", String(64), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("managed_by", String(200), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    account(),
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
    account(),
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
    account(),
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
    account(),
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
    account(),
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
    account(),
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
    account(),
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(10), nullable=False),  # grant | client | subject
    Column("issuer", String(2048), nullable=False),  # the issuer's URL as it stands in `iss`
    Column("key", String(2048), nullable=False),
    Column("not_before", BigInteger, nullable=False),  # tokens with iat at or before it are dead
    Column("expires_at", BigInteger, nullable=False),  # no token that it concerns lives longer
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
