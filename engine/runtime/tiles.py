"""Leave to use AMX: Linux gives tile registers only to a process that has asked for them."""

from __future__ import annotations

import ctypes
import platform

from inferflux.errors import InferFluxError

_ARCH_PRCTL = 158  # of x86-64
_REQUEST_PERMISSION = 0x1023  # ARCH_REQ_XCOMP_PERM, see arch/x86/xstate of Linux's documentation
_TILE_DATA = 18  # XFEATURE_XTILEDATA


class TilesDenied(InferFluxError):
    """The system does not let this process use AMX, though the processor has it."""

    code = "tiles_denied"


def request_tiles() -> None:
    """Ask for tile registers, for every thread that the process starts from now on.

    Raises:
        TilesDenied: Linux refuses, or this is another system; without leave a tile kills a process.
    """
    if platform.system() == "Linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0:
            return
    raise TilesDenied(
        f"this system gives no AMX tiles to a process (errno {ctypes.get_errno()}):"
        " choose --target cpu:avx512-bf16 or cpu:avx512"
    )
