"""Starting an engine's process, before all else that serves a model: it takes the longest.

What is imported here delays every start, so it is little.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import NamedTuple

DEFAULT_LOADER = "inferflux.engine.loading:load"

# Compiled steps have threads of their own; NumPy's would spin on the other cores as they start.
_NO_OTHER_THREADS = {"OPENBLAS_NUM_THREADS": "1"}


class Launched(NamedTuple):
    """A process that imports what an engine needs, then waits to be told what to load.

    The socket has no name anywhere: only these two can reach it. Closing it ends the process.
    """

    process: subprocess.Popen[bytes]
    socket: socket.socket


def launch(loader: str = DEFAULT_LOADER) -> Launched:
    """Start a process for an engine.  Raises OSError where the system has no room for one."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            # -P: the working directory is no place to import from.
            [sys.executable, "-P", "-m", "inferflux.engine.worker", str(theirs.fileno()), loader],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | _NO_OTHER_THREADS,
        )
    return Launched(process, ours)
