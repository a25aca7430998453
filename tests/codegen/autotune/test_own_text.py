"""A record is stale when the text of its own kernel changes, and not when another's does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from jinja2 import ChoiceLoader, DictLoader

from inferflux.codegen import templates
from inferflux.codegen.autotune.own_text import own_text
from inferflux.codegen.autotune.task import Task, tasks
from inferflux.codegen.autotune.tuning import Tuning
from inferflux.codegen.autotune.variants import Variant, variants_key
from inferflux.codegen.templates import source_text
from inferflux.ir import frontend, passes
from inferflux.ir.graph import Graph
from inferflux.kernels.kernel import StepShape

TARGET = "cpu:portable"
VARIANT = Variant("i8x32", StepShape(4, 16))
UNPACK = ("linear/unpack.j2", "unpack_integers")  # of every type whose integers are multiplied
MORE = "T.evaluate(T.int32(0))"
OF_Q8_0 = f'{{% if w.dtype == "q8_0" %}}\n{MORE}\n{{% endif %}}'
OF_PAGES = f"{{% if pages.scales %}}\n{MORE}\n{{% endif %}}"
COMMENT = "# A line of 64 bytes.\n"


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """``edit(template, macro, line)``: the macro begins with one line more, for this test."""

    def edited(template: str, macro: str, line: str) -> None:
        opening = re.compile(rf"{{% macro {macro}\(.*?\) %}}\n")
        text, count = opening.subn(lambda found: f"{found[0]}{line}\n", source_text(template))
        assert count == 1, f"{template} has one {macro}"
        before = templates._ENVIRONMENT
        assert before.loader is not None
        loader = ChoiceLoader([DictLoader({template: text}), before.loader])
        monkeypatch.setattr(templates, "_ENVIRONMENT", before.overlay(loader=loader))

    return edited


def found(graph: Graph, op: str) -> Task:
    return next(task for task in tasks({"i8x32": graph}, [VARIANT], TARGET) if task.key.op == op)


def text_of(task: Task) -> str:
    phase = task.phase
    return own_text(phase.kernel, phase.node, phase.shape, TARGET)


def test_another_types_macro_leaves_a_record_fresh(fused, edit):
    before, head = found(fused, "linear_residual").key, found(fused, "linear").key
    edit(*UNPACK, OF_Q8_0)
    assert found(fused, "linear_residual").key == before, "of q4_1"
    assert found(fused, "linear").key != head, "of q8_0"


def test_its_own_macro_makes_a_record_stale(fused, edit, record_of, table_of):
    task = found(fused, "linear_residual")
    phase = task.phase
    other = task.space[-1]
    tuning = Tuning((table_of(record_of(task.key, other)),))

    def chosen():
        return tuning.schedule(phase.kernel, phase.node, phase.shape, TARGET)

    assert chosen() == other
    edit(*UNPACK, MORE)
    assert chosen() == task.space[0]


def test_a_comment_is_no_change(fused, edit):
    before = found(fused, "linear_residual").key
    edit(*UNPACK, COMMENT)
    assert found(fused, "linear_residual").key == before


def test_equal_phases_of_different_models_have_one_text(fused, tiny_gguf):
    deeper = tiny_gguf(
        hidden=128,
        heads=4,
        kv_heads=2,
        intermediate=256,
        layer_types=("q4_1",) * 3,
        head_type="f16",
    )
    other = passes.run(frontend.build(frontend.open(deeper)))
    for op in ("linear_residual", "gate_up_quantise"):
        assert found(other, op).key == found(fused, op).key


def test_values_lie_in_places_that_are_told_apart(fused):
    """Else a kernel that reads another of its operands would have the same text."""
    text = text_of(found(fused, "gate_up_quantise"))
    assert "w_gate + " in text
    assert "w_up + " in text
    scales, sums = "scratch_f32[1 + ", "scratch_f32[2 + "
    assert scales in text
    assert sums in text


def test_a_record_of_another_text_is_told_of_by_that_name(fused, edit):
    task = found(fused, "linear_residual")
    edit(*UNPACK, MORE)
    changed = found(fused, "linear_residual").key
    assert changed.place == task.key.place
    assert replace(changed, text=task.key.text) == task.key


def test_the_record_of_a_step_lives_and_dies_with_its_phases(fused, edit):
    def key():
        return variants_key({"i8x32": fused}, [VARIANT], TARGET)

    before = key()
    edit(*UNPACK, COMMENT)
    assert key() == before
    edit("attention/append.j2", "scale_block", OF_PAGES)
    assert key() == before
    edit(*UNPACK, MORE)
    assert key().place == before.place
    assert key().text != before.text


def test_texts_are_written_only_where_there_is_a_record(fused, monkeypatch, table_of, record_of):
    task = found(fused, "linear_residual")
    others = [each for each in tasks({"i8x32": fused}, [VARIANT], TARGET) if each is not task]
    tuning = Tuning((table_of(record_of(task.key, task.space[-1])),))
    monkeypatch.setattr("inferflux.codegen.autotune.own_text.phase_body", None)
    for each in others:
        phase = each.phase
        if each.key.place != task.key.place:
            assert tuning.schedule(phase.kernel, phase.node, phase.shape, TARGET) == each.space[0]
