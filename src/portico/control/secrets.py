"""Secrets and names that the control plane makes up."""

import base64
import hashlib
import os
import string
from collections.abc import Callable
from typing import Final

from portico.model.secret import Secret

CLIENT_SECRET_BYTES: Final = 32  #: of randomness; enough that one plain SHA-256 is a safe way to store it
SECRET_MARK: Final = "portico_"  # noqa: S105 - no secret: the beginning by which scanners recognize a leaked one
MIN_SECRET_CHARS: Final = 32  #: of a machine's secret that somebody brings along (T13)
MIN_PASSWORD_CHARS: Final = 8  #: NIST SP 800-63B section 5.1.1
MAX_PASSWORD_CHARS: Final = 1024
ACCESS_KEY_MARK: Final = "PORTICO"  #: the beginning of access key ids, where AWS's have AKIA
ACCESS_KEY_CHARS: Final = 13  #: behind the mark: 20 in all, like AWS's
SECRET_ACCESS_KEY_CHARS: Final = 40  #: like AWS's; 238 random bits
SUFFIX_CHARS: Final = 10  #: of a gateway id after its name, and of a whole target id (AWS's patterns)

Random = Callable[[int], bytes]

_LOWER: Final = string.digits + string.ascii_lowercase
_UPPER: Final = string.digits + string.ascii_uppercase
_MIXED: Final = string.digits + string.ascii_letters


def new_client_secret(random: Random = os.urandom) -> Secret:
    """Return a new secret for a machine client; it is shown once and stored as :func:`secret_hash`."""
    text = base64.urlsafe_b64encode(random(CLIENT_SECRET_BYTES)).rstrip(b"=").decode()
    return Secret(SECRET_MARK + text)


def secret_hash(secret: Secret) -> str:
    """Return what is stored of a machine's secret: SHA-256 in hexadecimal digits."""
    return hashlib.sha256(secret.reveal().encode()).hexdigest()


def new_access_key_id(random: Random = os.urandom) -> str:
    """Return the id of a new access key, in the form of AWS's."""
    return ACCESS_KEY_MARK + _text(_UPPER, ACCESS_KEY_CHARS, random)


def new_secret_access_key(random: Random = os.urandom) -> Secret:
    """Return a new secret access key; only letters and digits, so that it can be pasted anywhere."""
    return Secret(_text(_MIXED, SECRET_ACCESS_KEY_CHARS, random))


def new_gateway_id(name: str, random: Random = os.urandom) -> str:
    """Return ``<name>-<10 characters>`` in lower case, as AWS makes gateway ids."""
    return f"{name.lower().rstrip('-')}-{_text(_LOWER, SUFFIX_CHARS, random)}"


def new_target_id(random: Random = os.urandom) -> str:
    """Return ten alphanumeric characters, as AWS makes target ids."""
    return _text(_MIXED, SUFFIX_CHARS, random)


def new_subject(random: Random = os.urandom) -> str:
    """Return a user's ``sub``: 128 random bits, never reused, saying nothing about the person."""
    return random(16).hex()


def _text(alphabet: str, length: int, random: Random) -> str:
    """Draw characters evenly: bytes beyond the largest multiple of the alphabet's size are thrown away."""
    bound = 256 - 256 % len(alphabet)
    drawn = ""
    while len(drawn) < length:
        drawn += "".join(alphabet[byte % len(alphabet)] for byte in random(length) if byte < bound)
    return drawn[:length]
