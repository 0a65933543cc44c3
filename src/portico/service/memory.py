"""How the C library keeps memory, in a process that serves for months.

glibc raises the size from which on a buffer is mapped by itself whenever such a buffer is freed: after one answer of
six megabytes, every smaller one comes from the heap, which splinters and is never given back. So the sizes are fixed,
and threads share two arenas in place of eight per core. With another C library nothing is done.
"""

import ctypes
import platform
from typing import Final

LARGE_BYTES: Final = 256 * 1024  #: from here on a buffer is mapped, and unmapped when it is freed
KEPT_BYTES: Final = 1024 * 1024  #: of free memory at the heap's end that is kept
ARENAS: Final = 2

# glibc's malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def settle_memory() -> bool:
    """Fix the sizes; says whether this C library knows them. Call it before threads are started."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    wanted = ((_M_MMAP_THRESHOLD, LARGE_BYTES), (_M_TRIM_THRESHOLD, KEPT_BYTES), (_M_ARENA_MAX, ARENAS))
    return sum(mallopt(parameter, value) for parameter, value in wanted) == len(wanted)
