"""Password hashing with Argon2id (RFC 9106).

Pure functions that take some 150 ms and 64 MiB each: callers run them in a thread and bound how many run at once.
"""

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()

#: A hash of nothing that anyone knows; verified against for unknown users so that time tells nothing (G07). Made once
#: with the parameters that hashes are made with (a test holds them together): making it takes as long as a login.
DECOY_HASH: Final = "$argon2id$v=19$m=65536,t=3,p=4$1G1o76G4Ekypk+cCh6Twww$ipzlDGEKANtDv5QRwrMq7qh6/gfrYYCxGTi1ZpOw3qI"


def hash_password(password: str) -> str:
    """Return an Argon2id hash in PHC string format."""
    return _HASHER.hash(password)


def verify_password(stored: str, password: str) -> bool:
    """Say whether ``password`` is the one that was hashed."""
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
