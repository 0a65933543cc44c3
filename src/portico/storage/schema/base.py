"""What all tables share: the metadata that they are in, and the columns that many have."""

import secrets
from typing import Final

from sqlalchemy import Column, MetaData, String

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


def account() -> Column[str]:
    """Return the column of the tenant that a row is of."""
    return Column("account", String(12), nullable=False)


def new_stamp() -> int:
    """Return a number that no other write has: a count would begin anew in a database that was restored."""
    return secrets.randbits(_STAMP_BITS)
