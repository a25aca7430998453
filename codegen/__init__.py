"""Graph to kernels to artifact: everything a build does after the front end."""

from inferflux.codegen.build import compile  # noqa: A004  the verb of the pipeline
from inferflux.codegen.target import UnsupportedOnTarget

__all__ = ["UnsupportedOnTarget", "compile"]
