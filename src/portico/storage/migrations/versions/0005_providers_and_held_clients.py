"""People whom an identity provider knows, the tokens it gave for them, clients without PKCE, and a façade's store."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("clients", sa.Column("pkce_required", sa.Boolean(), server_default=sa.true(), nullable=False))
    with op.batch_alter_table("users") as users:  # a person of a provider is named by connector and subject
        users.alter_column("name", type_=sa.String(length=320), existing_type=sa.String(length=255))
    op.add_column("users", sa.Column("connector", sa.String(length=64), server_default="", nullable=False))
    op.add_column("users", sa.Column("provider_subject", sa.String(length=255), nullable=True))
    op.create_index(
        op.f("ix_users_issuer_connector_provider_subject"),
        "users",
        ["issuer", "connector", "provider_subject"],
        unique=True,
    )
    op.add_column("grants", sa.Column("upstream", sa.Text(), server_default="", nullable=False))
    for column in ("upstream_checked_at", "upstream_lease"):
        op.add_column("grants", sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "spent",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("spent_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_spent")),
    )
    op.create_index(op.f("ix_spent_expires_at"), "spent", ["expires_at"])
    op.create_table(
        "ended_grants",
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("grant_id", name=op.f("pk_ended_grants")),
    )
    op.create_index(op.f("ix_ended_grants_sequence"), "ended_grants", ["sequence"])


def downgrade():
    op.drop_table("ended_grants")
    op.drop_table("spent")
    for column in ("upstream_lease", "upstream_checked_at", "upstream"):
        op.drop_column("grants", column)
    op.drop_index(op.f("ix_users_issuer_connector_provider_subject"), "users")
    op.drop_column("users", "provider_subject")
    op.drop_column("users", "connector")
    with op.batch_alter_table("users") as users:
        users.alter_column("name", type_=sa.String(length=255), existing_type=sa.String(length=320))
    op.drop_column("clients", "pkce_required")
