"""The generated code that is checked in is what the .proto file gives."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from grpc_tools import protoc

import inferflux.server.proto

PACKAGE = Path(inferflux.server.proto.__file__).parent
INCLUDED = resources.files("grpc_tools") / "_proto"
VIRTUAL = "inferflux/server/proto"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated")
    arguments = [f"-I{VIRTUAL}={PACKAGE}", f"-I{INCLUDED}"]
    arguments += [f"--{kind}={out}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    assert protoc.main(["protoc", *arguments, f"{VIRTUAL}/inferflux.proto"]) == 0
    return out / VIRTUAL


@pytest.mark.parametrize("name", ["inferflux_pb2.py", "inferflux_pb2.pyi", "inferflux_pb2_grpc.py"])
def test_generated_code_is_up_to_date(generated: Path, name: str):
    assert (PACKAGE / name).read_text() == (generated / name).read_text(), (
        f"{name} is stale: the head of inferflux.proto says how to write it again"
    )
