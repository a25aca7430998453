"""Tuning records that ship with InferFlux: ``<target>/<device>.json``.  Data only."""
