"""Kernels run for real: phase bodies in a loop of their own, and small graphs as whole steps."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined

import int8_results
from inferflux.codegen.artifact.compiled import AttentionCut
from inferflux.codegen.artifact.spans import Spans, cut_attention, list_sizes
from inferflux.codegen.memory import ROW_PADDING, MemoryPlan, padded, plan_memory, scales_of
from inferflux.codegen.packing import pack_weights
from inferflux.codegen.select import select
from inferflux.codegen.step import StepText, StepWriter, counters, step_buffers
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets import TARGETS, lowering
from inferflux.codegen.targets.cpu import compile_steps, object_code, target_words
from inferflux.codegen.targets.script import read_function
from inferflux.codegen.weights import plan_weights
from inferflux.ir.graph import Graph, Value
from inferflux.ir.interpret import interpret
from inferflux.ir.kv_pages import QuantisedPages
from inferflux.ir.passes import PassConfig
from inferflux.ir.passes.choose_layouts import choose_layouts
from inferflux.ir.types import F32, I8PAGE
from inferflux.kernels import storage
from inferflux.kernels.attention.space import BLOCK, PARTIALS, SPAN
from inferflux.kernels.kernel import StepShape

Array = np.ndarray[Any, np.dtype[Any]]
RunPiece = Callable[..., None]

MAX_TOKENS = 32


class Machine(Protocol):
    """What runs the code: this machine, or with ``--neon`` one that tests/neon emulates."""

    name: str
    features: Set[str]

    def load(self, code: bytes, symbol: str) -> Callable[..., None]:
        """The function of an object; its arguments are NumPy arrays, changed in place, and ints."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every target that the machine can run, as ``cpu_target`` or ``bf16_target``.

    Those with bf16 share their other kernels with the former.
    """
    machine = _emulated() if metafunc.config.getoption("--neon") else _here()
    known = (*TARGETS.values(), _beside("emulated_tiles.py").emulated_amx())
    runs = [each for each in known if machine.features >= {*each.features}]
    runs = [each for each in runs if machine.name in each.machines]
    for name, has_bf16 in (("cpu_target", False), ("bf16_target", True)):
        if name in metafunc.fixturenames:
            targets = [each for each in runs if (each.panels is not None) == has_bf16]
            metafunc.parametrize(name, targets, ids=lambda target: target.name)


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    if request.config.getoption("--neon"):
        emulated: Machine = _emulated()(tmp_path_factory.mktemp("neon"))
        return emulated
    here: Machine = _here()()
    return here


def _here() -> Any:
    return _beside("here.py").Here


def _emulated() -> Any:
    return _beside("../neon/emulated.py").Emulated


def _beside(name: str) -> Any:
    """A module among the tests, which are no package."""
    path = Path(__file__).parent / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def templates() -> Environment:
    return Environment(
        loader=PackageLoader("inferflux.kernels", package_path=""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


@pytest.fixture
def run_piece(compile_piece: Callable[..., Compiled]) -> RunPiece:
    """Run a phase body over ``pieces`` pieces on NumPy arrays, changing them in place.

    ``body`` is template text; its buffers are the names of ``arrays``.
    """

    def run(body: str, pieces: int, arrays: Mapping[str, Array], **values: object) -> None:
        compile_piece(body, arrays, **values)(arrays, pieces)

    return run


@pytest.fixture
def compile_piece(
    templates: Environment, cpu_target: CpuTarget, machine: Machine
) -> Callable[..., Compiled]:
    """Compile once to run many times: ``compile_piece(body, arrays, **values)(arrays, pieces)``."""

    def build(body: str, arrays: Mapping[str, Array], **values: object) -> Compiled:
        rendered = templates.from_string(body).render(**values)
        return Compiled(_function_text(rendered, arrays), cpu_target, machine)

    return build


@pytest.fixture
def compile_graph(cpu_target: CpuTarget, machine: Machine) -> Callable[..., SmallStep]:
    """``compile_graph(graph, row_block)``: the graph as a step, with weights made up for it."""

    def build(graph: Graph, row_block: int = 1, **options: Any) -> SmallStep:
        shape = StepShape(row_block, options.get("max_tokens", MAX_TOKENS))
        return SmallStep(graph, cpu_target, machine, shape, **options)

    return build


@pytest.fixture
def compile_step(machine: Machine) -> Callable[..., SmallStep]:
    """``compile_step(graph, target, shape)``: for tests that choose the target themselves."""

    def build(graph: Graph, target: CpuTarget, shape: StepShape) -> SmallStep:
        return SmallStep(graph, target, machine, shape)

    return build


@pytest.fixture
def compile_bf16(bf16_target: CpuTarget, machine: Machine) -> Callable[..., SmallStep]:
    """``compile_bf16(graph)``: as ``compile_graph``, cut as steps with products of bf16 are."""

    def build(graph: Graph, **options: Any) -> SmallStep:
        shape = bf16_target.panels
        assert shape
        return SmallStep(graph, bf16_target, machine, shape, arithmetic="bf16", **options)

    return build


@pytest.fixture
def assert_close() -> Callable[[Any, Any], None]:
    return _beside("closeness.py").assert_close


class SmallStep:
    """A graph of a few nodes, compiled as the builder compiles a model, beside its meaning.

    Rows of floats that the graph takes are arguments of the step.  All that a kernel may not look
    at is NaN: scratch nobody has written, and the spare rows of the arguments.
    """

    def __init__(
        self,
        graph: Graph,
        target: CpuTarget,
        machine: Machine,
        shape: StepShape,
        *,
        arithmetic: str = "i8x32",
        vocab_size: int = 0,
        max_tokens: int = MAX_TOKENS,
        seed: int = 0,
    ) -> None:
        self.graph = choose_layouts(graph, PassConfig())
        self.row_block = shape.row_block
        self.tensors = _beside("weights.py").tensors_of(self.graph, seed)
        plan = plan_weights(self.graph, target.name)
        files = {name: SimpleNamespace(raw=raw, convert=None) for name, raw in self.tensors.items()}
        source = SimpleNamespace(tensors=files, release=lambda: None)  # nothing is mapped
        self.arena = pack_weights(plan, source).arena  # type: ignore[arg-type]
        self.memory = plan_memory(self.graph, plan, max_tokens, vocab_size, target.name)
        _take_rows_as_arguments(self.graph, self.memory)
        phases = select(self.graph, shape, target.name)
        writer = StepWriter(self.graph, target, self.memory, arithmetic)
        self.step: StepText = writer.write(phases, plan.layer_bases, shape)
        here = replace(target, machines={machine.name: target.machines[machine.name]})
        (code,) = compile_steps(here, [self.step], lambda stage, fraction: None)[machine.name]
        self._function = machine.load(code, self.step.symbol)
        self.cut = AttentionCut(SPAN, BLOCK, PARTIALS)

    def meaning(self, inputs: Mapping[str, Array]) -> tuple[Any, ...]:
        """The graph's outputs by NumPy."""
        return interpret(self.graph, inputs, self.tensors)

    def __call__(self, inputs: Mapping[str, Array]) -> tuple[Any, ...]:
        """The graph's outputs by the compiled step, on one worker."""
        dims = self._dims(inputs)
        buffers = {
            name: _aligned(self._contents(name, dtype, inputs, dims))
            for name, dtype in step_buffers(self.graph).items()
        }
        cut = self._cut(inputs)
        lengths = (len(cut.items), len(cut.merges)) if cut else (0, 0)
        scalars = (dims.get("T", 0), dims.get("R", 0), dims.get("M", 0), *lengths, 0)
        self._function(*buffers.values(), *scalars)
        return tuple(self._result(value, buffers, dims) for value in self.graph.outputs)

    def _dims(self, inputs: Mapping[str, Array]) -> dict[str, int]:
        return {
            dim: size
            for value in self.graph.inputs
            for dim, size in zip(value.type.shape, inputs[value.hint].shape, strict=True)
            if isinstance(dim, str)
        }

    def _contents(
        self, name: str, dtype: str, inputs: Mapping[str, Array], dims: Mapping[str, int]
    ) -> Array:
        if name == "weights":
            return self.arena
        for value in self.graph.inputs:
            if scales_of(value) == name:
                return inputs[value.hint].scales
        if name == "sync":
            return np.zeros(counters(self.step.num_phases), np.int32)
        if name in ("spans", "merges"):
            return self._lists(inputs)[name]
        if name == "logits":
            rows = dims.get("R", 0) + ROW_PADDING
            width = max((v.type.shape[-1] for v in self.graph.outputs), default=0)
            return np.full(rows * padded(int(width)), np.nan, np.float32)
        given = {value.hint.replace(".", "_"): value for value in self.graph.inputs}
        if name in given:
            return _argument(given[name], inputs[given[name].hint])
        size = self.memory.sizes.get(name, 0)
        return np.full(size, np.nan if dtype == "float32" else 77, dtype)

    def _cut(self, inputs: Mapping[str, Array]) -> Spans | None:
        """How the runtime cuts attention, in graphs that have any."""
        if "sequences" not in inputs:
            return None
        changes = np.flatnonzero(np.diff(inputs["sequences"], prepend=-1, append=-1))
        return cut_attention(changes, inputs["positions"], self.cut)

    def _lists(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        sizes = list_sizes(self.cut, MAX_TOKENS)
        lists = {name: np.zeros(size, np.int32) for name, size in sizes.items()}
        if cut := self._cut(inputs):
            cut.write(lists["spans"], lists["merges"])
        return lists

    def _result(
        self, value: Value, buffers: Mapping[str, Array], dims: Mapping[str, int]
    ) -> Array | int8_results.Result | QuantisedPages:
        shape = tuple(dims[dim] if isinstance(dim, str) else dim for dim in value.type.shape)
        match self.memory.operands[value]:
            case storage.FloatRows() as at:
                rows = buffers[at.buffer][at.base :][: shape[0] * at.stride].reshape(shape[0], -1)
                np.testing.assert_array_equal(rows[:, at.columns :], 0, "padding of rows")
                return rows[:, : at.columns].copy()
            case storage.Int8Rows() | storage.SuperRows() as at:
                return int8_results.read(at, buffers, shape[0])
            case storage.BfloatRows() as at:
                pairs = buffers["scratch_i32"][at.base :][: shape[0] * at.pairs]
                halves = pairs.view(np.uint16).astype(np.uint32).reshape(shape)
                return (halves << 16).view(np.float32)
            case storage.IntRows() as at:
                return _at(buffers["scratch_i32"], at.base, shape)
            case storage.Pages(scales="") as at:
                return buffers[at.buffer].reshape(shape).copy()
            case storage.Pages() as at:
                blocks = (*shape[:3], at.head_dim // I8PAGE.block, storage.LANES)
                scales = buffers[at.scales].reshape(blocks).copy()
                return QuantisedPages(buffers[at.buffer].reshape(shape).copy(), scales)
            case other:
                raise AssertionError(f"{value} lies in {other}")


class Compiled:
    """A compiled phase body, as a function of its arrays and the number of pieces."""

    def __init__(self, text: str, target: CpuTarget, machine: Machine) -> None:
        import tvm

        lowering.register()
        function = read_function(text, target_words(target, machine.name))
        here = tvm.target.Target(dict(target.machines[machine.name]))
        self._library = tvm.compile(function, here, tir_pipeline=lowering.NAME)
        self._function = machine.load(object_code(self._library), "phase")

    def __call__(self, arrays: Mapping[str, Array], pieces: int) -> None:
        given = [_aligned(array) for array in arrays.values()]
        self._function(*given, pieces)
        for array, copy in zip(arrays.values(), given, strict=True):
            array.reshape(-1)[:] = copy

    def calls(self) -> set[str]:
        """Names the machine code calls."""
        return set(re.findall(r"\b(?:callq?|bl)\s+(\w+)", self._library.mod.inspect_source("asm")))


def _function_text(body: str, arrays: Mapping[str, Array]) -> str:
    buffers = ", ".join(
        f'{name}: T.Buffer(({array.size},), "{array.dtype}")' for name, array in arrays.items()
    )
    indented = re.sub(r"^(?=.)", " " * 8, body, flags=re.MULTILINE)
    return (
        "@T.prim_func(s_tir=True)\n"
        f"def phase({buffers}, pieces: T.int32):\n"
        '    T.func_attr({"global_symbol": "phase", "tirx.noalias": True})\n'
        "    for piece in T.serial(pieces):\n"
        "        worker: T.let = T.int32(0)\n"
        f"{indented}\n"
    )


def _take_rows_as_arguments(graph: Graph, memory: MemoryPlan) -> None:
    """Rows of floats lie in scratch in a model; here the graph's inputs are such rows too."""
    rows: dict[storage.Operand, storage.Operand] = {}
    for value in graph.inputs:
        width = value.type.shape[-1]
        if value.type.dtype == F32 and len(value.type.shape) == 2 and isinstance(width, int):
            rows[storage.Array(value.hint)] = storage.FloatRows(width, 0, padded(width), value.hint)
    for value, operand in memory.operands.items():
        memory.operands[value] = rows.get(operand, operand)


def _argument(value: Value, given: Array) -> Array:
    match value.type.shape:
        case (_, int() as width) if value.type.dtype == F32:
            rows = np.full((len(given) + ROW_PADDING, padded(width)), np.nan, np.float32)
            rows[: len(given)] = 0
            rows[: len(given), :width] = given
            return rows
        case (_,):
            return np.concatenate([given, np.zeros(ROW_PADDING, given.dtype)])
        case _:
            return given.values if isinstance(given, QuantisedPages) else given


def _at(buffer: Array, start: int, shape: tuple[int, ...]) -> Array:
    return buffer[start : start + int(np.prod(shape))].reshape(shape).copy()


def _aligned(array: Array) -> Array:
    """A flat copy on a 64-byte boundary, which DLPack arguments must have."""
    room = np.zeros(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype)
    copy[:] = array.reshape(-1)
    return copy
