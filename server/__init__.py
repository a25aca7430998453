"""The server: doors, and the one service behind them."""

from inferflux.server.address import Address
from inferflux.server.app import Ready, ServerConfig, serve

__all__ = ["Address", "Ready", "ServerConfig", "serve"]
