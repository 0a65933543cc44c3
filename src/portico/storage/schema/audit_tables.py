"""Records of calls and changes."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, String, Table, Text

from portico.storage.schema.base import account, metadata

# Records of changes on their way into the journal: written with the change itself, so that neither lacks the other.
changes = Table(
    "changes",
    metadata,
    account(),
    Column("id", String(32), primary_key=True),  # stands in the record too
    Column("time", Float, nullable=False),
    Column("record", JSON, nullable=False),  # audit.record.ChangeRecord
    Index(None, "time"),
)

audit_records = Table(
    "audit_records",
    metadata,
    account(),
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
    account(),
    Column("writer", String(64), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("signature", Text, nullable=False),
    Column("closed", Boolean, nullable=False, default=False),
)
