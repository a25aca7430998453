"""This machine, as tests of kernels see one."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np

from inferflux.codegen.artifact.machine import machine_features

Array = np.ndarray[Any, np.dtype[Any]]


class Here:
    """Objects are loaded into this process."""

    name = platform.machine()
    features = machine_features()

    def load(self, code: bytes, symbol: str) -> Callable[..., None]:
        import tvm_ffi
        import tvm_ffi_orcjit

        function = tvm_ffi_orcjit.default_session().load_module(code)[symbol]

        def call(*given: Array | int) -> None:
            function(*(tvm_ffi.from_dlpack(x) if isinstance(x, np.ndarray) else x for x in given))

        return call
