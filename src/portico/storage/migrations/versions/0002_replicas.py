"""Where replicas reach each other, and the sessions that ended before their time."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "replicas",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replicas")),
    )
    op.create_table(
        "ended_sessions",
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ended_sessions")),
    )
    op.create_index(op.f("ix_ended_sessions_sequence"), "ended_sessions", ["sequence"])


def downgrade():
    op.drop_index(op.f("ix_ended_sessions_sequence"), "ended_sessions")
    op.drop_table("ended_sessions")
    op.drop_table("replicas")
