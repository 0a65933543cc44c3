"""Every table. Each row carries the account (the tenant); ``DEFAULT_ACCOUNT`` until more are built.

``counters`` is how replicas learn of changes (docs/architecture.md, "How a change arrives"): whoever changes something
bumps the counter of its scope in the same transaction, readers compare all counters in one statement. Scopes:
``gateway/<id>``, ``issuer/<name>`` (settings, keys), ``revocations``, ``sessions`` (legacy sessions that ended before
their time), ``replicas``, ``providers`` (credential providers), ``access-keys`` and ``ended-grants`` (of a façade with
a store).

The tables are parted by topic; they are imported from here, so that whoever has the metadata has all of them.
"""

from portico.storage.schema.audit_tables import audit_heads, audit_records, changes
from portico.storage.schema.base import DEFAULT_ACCOUNT, metadata, new_stamp
from portico.storage.schema.control_tables import access_keys, client_tokens, counters, jobs, replicas, tags
from portico.storage.schema.gateway_tables import (
    credential_providers,
    ended_sessions,
    gateways,
    outbound_tokens,
    targets,
    workload_identities,
)
from portico.storage.schema.issuer_tables import (
    authorization_codes,
    clients,
    ended_grants,
    grants,
    issuers,
    refresh_tokens,
    revocations,
    signing_keys,
    spent,
    users,
)

__all__ = [
    "DEFAULT_ACCOUNT",
    "access_keys",
    "audit_heads",
    "audit_records",
    "authorization_codes",
    "changes",
    "client_tokens",
    "clients",
    "counters",
    "credential_providers",
    "ended_grants",
    "ended_sessions",
    "gateways",
    "grants",
    "issuers",
    "jobs",
    "metadata",
    "new_stamp",
    "outbound_tokens",
    "refresh_tokens",
    "replicas",
    "revocations",
    "signing_keys",
    "spent",
    "tags",
    "targets",
    "users",
    "workload_identities",
]
