"""A file of records reads like this, comes back as it was, and is refused where it says nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from inferflux.codegen.autotune.record import TuningKey
from inferflux.codegen.autotune.table import InvalidRecords, parse_table

KEY = TuningKey(
    target="cpu:portable",
    op="linear_residual",
    types="i8x32[T, 576] q4_1[576, 576]@panel16 f32[T, 576] f32[T, 576]",
    attrs="",
    shape="row_block=4",
    toolchain="apache-tvm 0.27",
    text="0123456789abcdef",
)
SCHEDULE = {"row_block": 4, "panels": 6, "prefetch": 2560}


@pytest.fixture
def table(table_of, record_of):
    second = replace(KEY, op="gate_up", attrs="activation=silu")
    return table_of(record_of(KEY, SCHEDULE), record_of(second, {"units": 3}))


def test_a_file_of_records_reads_like_this(table, golden):
    golden("records.json", table.text())


def test_records_are_sorted_by_what_they_are_about(table, table_of):
    backwards = table_of(*reversed(table.records.values()))
    assert backwards.text() == table.text()


def test_what_is_written_comes_back(table):
    assert parse_table(table.text(), "x.json") == table


def test_a_newer_record_takes_the_place_of_an_older_one(table, record_of):
    newer = record_of(replace(KEY, text="another"), {"panels": 1})
    after = table.with_record(newer)
    assert after.find(KEY) is newer
    assert len(after.records) == len(table.records)


@pytest.mark.parametrize("factor", ["toolchain", "text"])
def test_a_record_found_out_with_something_else_is_stale(table, factor):
    changed = replace(KEY, **{factor: "another"})
    assert table.fresh(KEY) is not None
    assert table.fresh(changed) is None
    assert table.find(changed) is table.find(KEY), "it can still be told what it was"


@pytest.mark.parametrize("factor", ["target", "op", "types", "attrs", "shape"])
def test_a_record_is_about_one_phase_only(table, factor):
    assert table.find(replace(KEY, **{factor: "another"})) is None


def damaged(table):
    whole = json.loads(table.text())
    yield "no json"
    yield "[]"
    yield json.dumps({**whole, "device": "mine"})
    for name in whole["records"][0]:
        records = [{key: value for key, value in whole["records"][0].items() if key != name}]
        yield json.dumps({**whole, "records": records})
    yield json.dumps({**whole, "records": [{**whole["records"][0], "schedule": [1]}]})


def test_a_file_that_holds_no_records_is_refused_by_name(table):
    for text in damaged(table):
        with pytest.raises(InvalidRecords, match=r"mine\.json: no tuning records"):
            parse_table(text, "mine.json")
