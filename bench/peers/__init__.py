"""Engines to compare with, each by a worker that runs in that engine's own Python."""
