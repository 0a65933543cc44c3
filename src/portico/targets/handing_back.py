"""What of a target's HTTP answer a client may see: the headers that ``metadataConfiguration`` names. Pure."""

import re
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from portico.model.call import Answer

#: AWS's limits on a header that is passed on, either way (developer guide, gateway-headers): 4 KB, printable ASCII.
MAX_VALUE_BYTES: Final = 4096
PRINTABLE: Final = re.compile(rb"[ -~]*\Z")

_Headers = tuple[tuple[bytes, bytes], ...]


def with_headers(answer: Answer, headers: _Headers, names: AbstractSet[bytes]) -> Answer:
    """Return the answer with those of the target's ``headers`` that have one of ``names``.

    What is longer or holds other characters than AWS allows is left out, and so is a repetition: the call was made,
    and its result must not be lost over it.
    """
    kept: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in names and len(value) <= MAX_VALUE_BYTES and PRINTABLE.match(value):
            kept.setdefault(name, value)
    return msgspec.structs.replace(answer, headers=tuple(kept.items())) if kept else answer
