"""Password hashing with Argon2id (RFC 9106).

Pure functions that take some 150 ms and 64 MiB each: callers run them in a thread and bound how many run at once.
"""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()

#: A hash of nothing that anyone knows; verified against for unknown users so that time tells nothing (G07).
DECOY_HASH = _HASHER.hash("no such user")


def hash_password(password: str) -> str:
    """Return an Argon2id hash in PHC string format."""
    return _HASHER.hash(password)


def verify_password(stored: str, password: str) -> bool:
    """Say whether ``password`` is the one that was hashed."""
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
