"""Our reader of TVMScript gives what TVM's own gives, and refuses what it does not know."""

from __future__ import annotations

import platform

import pytest

from inferflux.codegen.memory import plan_memory
from inferflux.codegen.select import select
from inferflux.codegen.step import StepWriter
from inferflux.codegen.targets import TARGETS
from inferflux.codegen.targets.cpu import pool_functions, target_words
from inferflux.codegen.targets.script import ScriptError, read_function
from inferflux.codegen.weights import plan_weights
from inferflux.ir import frontend, passes
from inferflux.kernels.kernel import StepShape

TARGET = TARGETS["cpu:portable"]
FUNCTION = """
@T.prim_func(s_tir=True)
def f(x: T.Buffer((16,), "float32")):
    {}
"""


@pytest.fixture(scope="module")
def names():
    return target_words(TARGET, platform.machine())


def test_a_steps_texts_mean_what_tvm_reads_in_them(tiny_gguf, names):
    """A step of two kinds, all that it calls, and the pool's functions."""
    import tvm

    source = frontend.open(tiny_gguf(layer_types=("q4_1", "f16"), window=8, windowed=(True, False)))
    graph = passes.run(frontend.build(source))
    plan = plan_weights(graph, TARGET.name)
    memory = plan_memory(graph, plan, 32, 320, TARGET.name)
    shape = StepShape(2, 32)
    phases = select(graph, shape, TARGET.name)
    step = StepWriter(graph, TARGET, memory).write(phases, plan.layer_bases, shape)
    texts = [step.text, *(each.text for each in step.functions), *pool_functions().values()]
    for text in texts:
        expected = tvm.script.from_source(text, extra_vars=dict(names))
        tvm.ir.assert_structural_equal(read_function(text, names), expected, map_free_vars=True)


@pytest.mark.parametrize(
    ("statement", "quoted"),
    [
        ("x[0] = unknown(1)", "'unknown'"),
        ("x[0] = [y for y in (1, 2)][0]", "'[y for y in (1, 2)]'"),
        ("del x", "'del x'"),
        ("x[0] = __import__('os')", "'__import__'"),
    ],
)
def test_what_steps_are_not_written_in_is_refused_by_line(names, statement, quoted):
    with pytest.raises(ScriptError, match="line 4 of a step's text") as refused:
        read_function(FUNCTION.format(statement), names)
    assert quoted in str(refused.value)
