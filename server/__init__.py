"""The server: doors, and the one service behind them."""

from inferflux.server.app import Ready, ServerConfig, serve
from inferflux.server.doors import Address

__all__ = ["Address", "Ready", "ServerConfig", "serve"]
