"""By which a replica knows the targets that changed since it read them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("targets", sa.Column("stamp", sa.BigInteger(), server_default="0", nullable=False))


def downgrade():
    op.drop_column("targets", "stamp")
