"""The store of models on this machine: names to files, pulled once, checked, put in place whole."""

from inferflux.cli.store.catalogue import CATALOGUE, UnknownModel
from inferflux.cli.store.pulling import pull
from inferflux.cli.store.records import StoredModel, models
from inferflux.cli.store.resolving import Listener, resolve
from inferflux.cli.store.sweep import Swept, remove, sweep

__all__ = [
    "CATALOGUE",
    "Listener",
    "StoredModel",
    "Swept",
    "UnknownModel",
    "models",
    "pull",
    "remove",
    "resolve",
    "sweep",
]
