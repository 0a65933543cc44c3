"""The sealing keyring: an ordered list of master keys; the first seals, all open.

A sealed value is ``v1.<kid>.<base64url(nonce || ciphertext || tag)>``. The key of a purpose is
HKDF-SHA256(master[kid], info = purpose); the associated data is ``purpose|kid|`` followed by the caller's own,
so a value sealed for one purpose or row never opens as another.

A retired key (``~kid:hex``) opens only :data:`LASTING_PURPOSES`; nothing else that it sealed or signed counts any
more. So keys can be changed as a routine.
"""

import base64
import binascii
import os
import re
from collections.abc import Callable, Collection
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portico.model.errors import ConfigError, Fault, SealError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_SEALED_CHARS: Final = 64 * 1024  #: longer input is not even decoded
MIN_DISTINCT_BYTES: Final = 8  #: a key of few distinct byte values was typed, not generated

#: What a retired key still opens: ids that clients keep for years and do not recover from, and what lies in the
#: database until it is written anew. Logins, flows, codes, refresh tokens and sessions are not among them.
LASTING_PURPOSES: Final = frozenset(
    {"client-id", "audit-head", "signing-key", "access-key", "connector-secret", "credential-provider"}
)

_LINE = re.compile(r"(~?)([A-Za-z0-9_-]{1,32}):([0-9a-fA-F]{64})\Z")
_SEALED = re.compile(r"v1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]+)\Z")


class Keyring:
    """An ordered set of master keys, replaced as a whole when its file changes (:meth:`adopt`)."""

    def __init__(self, keys: dict[str, bytes], *, retired: Collection[str] = ()) -> None:
        """Take ``keys`` (kid to 32 bytes), the first being the one that seals; those ``retired`` hardly open any more.

        Raises:
            ConfigError: no key, a short key, or a key that was not generated at random; the first one is retired.
        """
        faults = [fault for kid, key in keys.items() for fault in _weaknesses(kid, key)]
        if not keys:
            faults.append(Fault(path="keyring", message="has no key; make one with `portico keyring init`"))
        elif next(iter(keys)) in retired:
            faults.append(Fault(path="keyring", message="begins with a retired key; the first one seals"))
        if faults:
            raise ConfigError(faults)
        self._masters = dict(keys)
        self._retired = frozenset(retired)
        self._derived: dict[tuple[str, str], AESGCM] = {}
        self._look: Callable[[], bool] | None = None

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read ``kid:64-hex-digits`` lines, with ``~`` before retired ones; blank lines and ``#`` comments are skipped.

        Raises:
            ConfigError: lists every bad line.
        """
        keys: dict[str, bytes] = {}
        retired: set[str] = set()
        faults: list[Fault] = []
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            found = _LINE.match(line)
            if found is None:
                faults.append(Fault(path=f"keyring line {number}", message="is not `kid:` and 64 hex digits"))
            elif found[2] in keys:
                faults.append(Fault(path=f"keyring line {number}", message=f"repeats the key id {found[2]!r}"))
            else:
                keys[found[2]] = bytes.fromhex(found[3])
                if found[1]:
                    retired.add(found[2])
        if faults:
            raise ConfigError(faults)
        return cls(keys, retired=retired)

    def adopt(self, other: "Keyring") -> None:
        """Take over the keys of ``other`` in one step: the file changed, and everybody who holds this one follows."""
        self._masters = dict(other._masters)  # noqa: SLF001 - of the same class
        self._retired = other._retired  # noqa: SLF001
        self._derived = {}

    def when_unknown(self, look: Callable[[], bool]) -> None:
        """Have ``look`` called when a key is not known here; it may adopt others, and says whether it did."""
        self._look = look

    def look_again(self) -> bool:
        """Say whether there are other keys now: another replica may use one already that was not read here yet."""
        return self._look is not None and self._look()

    @property
    def kids(self) -> tuple[str, ...]:
        """Key ids in order; the first seals."""
        return tuple(self._masters)

    @property
    def retired(self) -> frozenset[str]:
        """The ids of those that open only what lives for years."""
        return self._retired

    def derive(self, purpose: str, length: int) -> dict[str, bytes]:
        """Return ``length`` secret bytes for ``purpose`` by key id, in order: the same wherever the keys are the same.

        Retired keys give none.
        """
        return {
            kid: HKDF(algorithm=SHA256(), length=length, salt=None, info=f"derive|{purpose}".encode()).derive(master)
            for kid, master in self._masters.items()
            if kid not in self._retired
        }

    def seal(
        self,
        purpose: str,
        plaintext: bytes,
        *,
        aad: bytes = b"",
        random: Callable[[int], bytes] = os.urandom,
    ) -> str:
        """Encrypt and authenticate ``plaintext`` for ``purpose`` with the first key."""
        kid = self.kids[0]
        nonce = random(NONCE_BYTES)
        sealed = nonce + self._cipher(kid, purpose).encrypt(nonce, plaintext, _associated(purpose, kid, aad))
        return f"v1.{kid}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"

    def open(self, purpose: str, sealed: str, *, aad: bytes = b"", max_chars: int = MAX_SEALED_CHARS) -> bytes:
        """Return what was sealed for ``purpose`` with ``aad``; what is longer than ``max_chars`` is not looked at.

        Raises:
            SealError: not ours, another purpose or associated data, changed, or its key was dropped.
        """
        found = _SEALED.match(sealed) if len(sealed) <= max_chars else None
        if found is None or (found[1] not in self._masters and not (self.look_again() and found[1] in self._masters)):
            raise SealError("The value was not issued here or is no longer valid.", detail="format or kid")
        kid, body = found[1], found[2]
        if kid in self._retired and purpose not in LASTING_PURPOSES:
            raise SealError("The value was not issued here or is no longer valid.", detail="retired kid")
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            return self._cipher(kid, purpose).decrypt(
                raw[:NONCE_BYTES], raw[NONCE_BYTES:], _associated(purpose, kid, aad)
            )
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise SealError("The value was not issued here or is no longer valid.", detail="tag") from error

    def _cipher(self, kid: str, purpose: str) -> AESGCM:
        cipher = self._derived.get((kid, purpose))
        if cipher is None:
            key = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(
                self._masters[kid]
            )
            cipher = self._derived[kid, purpose] = AESGCM(key)
        return cipher


def generate_line(kid: str, *, random: Callable[[int], bytes] = os.urandom) -> str:
    """Return one new keyring line for ``kid``."""
    return f"{kid}:{random(KEY_BYTES).hex()}"


def _associated(purpose: str, kid: str, aad: bytes) -> bytes:
    return f"{purpose}|{kid}|".encode() + aad


def _weaknesses(kid: str, key: bytes) -> list[Fault]:
    if len(key) != KEY_BYTES:
        return [Fault(path=f"keyring {kid}", message=f"must be {KEY_BYTES} bytes; run `portico keyring init`")]
    if len(set(key)) < MIN_DISTINCT_BYTES:
        return [Fault(path=f"keyring {kid}", message="was not generated at random; run `portico keyring init`")]
    return []
