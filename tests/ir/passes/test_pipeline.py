"""The pipeline as a whole: what it makes of a Llama, and what it writes on the way."""

from __future__ import annotations

import pytest

from inferflux.errors import InvalidArgument
from inferflux.ir.graph import Graph
from inferflux.ir.parse import parse
from inferflux.ir.passes import PIPELINE, Phase, run
from inferflux.ir.types import F16, F32, I8PAGE, Q4_1, Q8_0
from inferflux.ir.verify import VerifyError


@pytest.fixture
def model(tiny_llama):
    return tiny_llama([tiny_llama.layer(dtype) for dtype in (Q4_1, Q4_1, Q4_1, Q8_0)])


@pytest.mark.parametrize("numerics", ["default", "float32"])
def test_a_llama_reads_like_this_after_the_last_pass(model, golden, numerics):
    """A change of the text is a change of the IR: read the difference, then ``--accept`` it."""
    golden(f"llama-{numerics}.ir", str(run(model.graph, numerics=numerics)))


def test_thirty_layers_print_no_longer_than_three(tiny_llama):
    three, thirty = (
        str(run(tiny_llama([tiny_llama.layer(Q4_1)] * count).graph)) for count in (3, 30)
    )
    assert len(thirty.splitlines()) == len(three.splitlines()) <= 45


def test_every_pass_is_dumped_in_order_and_the_dumps_parse(model, tmp_path):
    final = run(model.graph, dump=tmp_path / "ir")
    names = sorted(path.name for path in (tmp_path / "ir").iterdir())
    passes = [each.__name__ for phase in PIPELINE for each in phase.passes]
    expected = [f"{number:02}-{name}.ir" for number, name in enumerate(["import", *passes])]
    assert names == expected
    texts = [(tmp_path / "ir" / name).read_text() for name in names]
    assert texts[0] == str(model.graph)
    assert texts[-1] == str(final)
    assert all(str(parse(text)) == text for text in texts)


def test_verify_finds_the_pass_that_breaks_the_graph(model):
    def drop_inputs(graph, config):
        return Graph((), graph.outputs, graph.weights, graph.name)

    broken = (Phase("break", (drop_inputs,)),)
    with pytest.raises(VerifyError, match="reads %"):
        run(model.graph, broken, verify=True)
    run(model.graph, broken)


def test_float32_numerics_widen_the_pages_and_quantise_nothing(model):
    graph = run(model.graph, numerics="float32", verify=True)
    pages = {value.hint: value.type.dtype for value in graph.inputs if value.type.dtype == F32}
    assert {"k.0", "v.0"} <= pages.keys()
    assert "i8x32" not in str(graph)
    assert F16 in {value.type.dtype for value in run(model.graph).inputs}


def test_int8_pages_are_the_graph_over_other_pages(model):
    graph = run(model.graph, kv_dtype="int8", verify=True)
    pages = [value for value in graph.inputs if len(value.type.shape) == 5]
    assert {value.type.dtype for value in pages} == {I8PAGE}
    retyped = str(graph).replace("i8page[", "f16[").split()  # lines break elsewhere
    assert retyped == str(run(model.graph)).split()


def test_float32_numerics_and_int8_pages_exclude_each_other(model):
    with pytest.raises(InvalidArgument, match="leave kv_dtype 'int8' out"):
        run(model.graph, numerics="float32", kv_dtype="int8")


def test_unknown_numerics_are_refused_with_the_known_ones(model):
    with pytest.raises(
        InvalidArgument, match="'bf16' is not known; choose one of default, float32"
    ):
        run(model.graph, numerics="bf16")


def test_running_the_pipeline_again_changes_nothing(model):
    once = run(model.graph)
    assert str(run(once)) == str(once)


def test_the_graph_that_was_given_is_as_it_was(model):
    before = str(model.graph)
    run(model.graph)
    assert str(model.graph) == before
