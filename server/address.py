"""Where a door listens."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from inferflux.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Address:
    """Where a door listens; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def check_loopback(self) -> None:
        """Until there are keys, whoever reaches a door may use it."""
        if not _is_loopback(self.host):
            raise InvalidArgument(
                f"{self} can be reached from other machines, and there are no keys yet that would "
                "guard it; use 127.0.0.1, and a tunnel to reach it from elsewhere"
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
