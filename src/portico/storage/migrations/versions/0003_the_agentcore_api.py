"""Credential providers, workload identities, access keys, tags, client tokens, outbound tokens, changes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "credential_providers",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("vendor", sa.String(length=64), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("callback_id", sa.String(length=64), nullable=False),
        sa.Column("managed_by", sa.String(length=200), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "kind", "name", name=op.f("pk_credential_providers")),
    )
    op.create_index(op.f("ix_credential_providers_callback_id"), "credential_providers", ["callback_id"])
    op.create_table(
        "workload_identities",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("managed_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "name", name=op.f("pk_workload_identities")),
    )
    _give_identities()
    op.create_table(
        "access_keys",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("gateways", sa.JSON(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.Column("managed_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_keys")),
    )
    op.create_table(
        "tags",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("arn", sa.String(length=1024), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("account", "arn", "key", name=op.f("pk_tags")),
    )
    _create_tokens()
    op.create_table(
        "changes",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
    )
    op.create_index(op.f("ix_changes_time"), "changes", ["time"])


def _give_identities():
    """Give every gateway that is there the workload identity that is made with each from now on."""
    gateways = sa.table(
        "gateways",
        sa.column("account", sa.String()),
        sa.column("id", sa.String()),
        sa.column("managed_by", sa.String()),
        sa.column("created_at", sa.BigInteger()),
    )
    identities = sa.table(
        "workload_identities",
        sa.column("account", sa.String()),
        sa.column("name", sa.String()),
        sa.column("document", sa.JSON()),
        sa.column("owner", sa.String()),
        sa.column("managed_by", sa.String()),
        sa.column("created_at", sa.BigInteger()),
        sa.column("updated_at", sa.BigInteger()),
    )
    rows = [
        {
            "account": row.account,
            "name": row.id,
            "document": {"name": row.id},
            "owner": row.id,
            "managed_by": row.managed_by,
            "created_at": row.created_at,
            "updated_at": row.created_at,
        }
        for row in op.get_bind().execute(sa.select(gateways))
    ]
    if rows:
        op.bulk_insert(identities, rows)


def _create_tokens():
    op.create_table(
        "client_tokens",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=256), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("response", sa.JSON(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "operation", "token", name=op.f("pk_client_tokens")),
    )
    op.create_index(op.f("ix_client_tokens_expires_at"), "client_tokens", ["expires_at"])
    op.create_table(
        "outbound_tokens",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("refresh_at", sa.Float(), nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=False),
        sa.Column("leased_until", sa.Float(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "key", name=op.f("pk_outbound_tokens")),
    )
    op.create_index(op.f("ix_outbound_tokens_provider"), "outbound_tokens", ["provider"])


def downgrade():
    for table in (
        "changes",
        "outbound_tokens",
        "client_tokens",
        "tags",
        "access_keys",
        "workload_identities",
        "credential_providers",
    ):
        op.drop_table(table)
