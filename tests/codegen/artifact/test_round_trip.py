"""What is saved is what is loaded, and it is saved in one way only."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferflux.codegen.artifact import load, peek, save
from inferflux.codegen.artifact.canonical import canonical_json, parse
from inferflux.codegen.artifact.compiled import CompiledModel, TokenizerFacts
from inferflux.codegen.artifact.schema import decode, encode

HUGE_PAGE_BYTES = 2 << 20


def without_weights(model: CompiledModel) -> CompiledModel:
    return dataclasses.replace(model, weights={})


def test_a_model_survives_its_file(model: CompiledModel, tmp_path: Path) -> None:
    digest = save(model, tmp_path / "tiny.ifx")
    artifact = load(tmp_path / "tiny.ifx")
    assert artifact.digest == digest
    assert artifact.path == tmp_path / "tiny.ifx"
    assert without_weights(artifact.model) == without_weights(model)
    assert list(artifact.model.targets) == list(model.targets), "the best target stays first"
    for name, segment in model.weights.items():
        np.testing.assert_array_equal(artifact.model.weights[name], segment)


def test_peeking_gives_all_but_the_weights(model: CompiledModel, saved: Path) -> None:
    assert peek(saved).model == without_weights(model)
    assert peek(saved).digest == load(saved).digest


def test_weights_that_nothing_uses_are_left_out(model: CompiledModel, tmp_path: Path) -> None:
    weights = {**model.weights, "cc33": np.zeros(9, np.uint8)}
    save(dataclasses.replace(model, weights=weights), tmp_path / "more.ifx")
    assert set(load(tmp_path / "more.ifx").model.weights) == {"aa11", "bb22"}


def test_targets_that_name_one_segment_share_it(model: CompiledModel, tmp_path: Path) -> None:
    shared = {n: dataclasses.replace(t, weights="aa11") for n, t in model.targets.items()}
    save(dataclasses.replace(model, targets=shared), tmp_path / "shared.ifx")
    content = model.weights["aa11"].tobytes()
    assert (tmp_path / "shared.ifx").read_bytes().count(content) == 1
    artifact = load(tmp_path / "shared.ifx")
    assert {target.weights for target in artifact.model.targets.values()} == {"aa11"}


def test_two_saves_give_the_same_bytes_at_any_place(model: CompiledModel, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    one, two = tmp_path / "one.ifx", tmp_path / "elsewhere" / "two.ifx"
    assert save(model, one) == save(model, two)
    assert one.read_bytes() == two.read_bytes()


def test_order_of_mappings_and_hash_seeds_leave_no_trace(saved: Path, tmp_path: Path) -> None:
    script = (
        "import sys, dataclasses\n"
        "from inferflux.codegen.artifact import load, save\n"
        "model = load(sys.argv[1]).model\n"
        "turn = lambda m: dict(reversed(m.items()))\n"
        "targets = {n: dataclasses.replace(t, objects=turn(t.objects), sources=turn(t.sources))\n"
        "           for n, t in model.targets.items()}\n"
        "save(dataclasses.replace(model, targets=targets, weights=turn(model.weights)),"
        " sys.argv[2])\n"
    )
    for seed in ("1", "2"):
        again = tmp_path / f"{seed}.ifx"
        subprocess.run(
            [sys.executable, "-c", script, saved, again],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
        )
        assert again.read_bytes() == saved.read_bytes()


def test_a_save_that_fails_leaves_the_old_file(
    model: CompiledModel, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(model, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved], "and nothing beside it"


def test_weights_are_mapped_read_only_and_aligned(
    model: CompiledModel, saved: Path, tmp_path: Path
) -> None:
    for segment in load(saved).model.weights.values():
        assert isinstance(segment, np.memmap)
        assert not segment.flags.writeable
        assert segment.ctypes.data % 64 == 0
    big = {**model.weights, "aa11": np.ones(HUGE_PAGE_BYTES, np.uint8)}
    save(dataclasses.replace(model, weights=big), tmp_path / "big.ifx")
    mapped = load(tmp_path / "big.ifx").model.weights["aa11"]
    assert isinstance(mapped, np.memmap)
    assert mapped.offset % HUGE_PAGE_BYTES == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_takes_no_memory_for_weights(model: CompiledModel, tmp_path: Path) -> None:
    size = 96 << 20
    path = tmp_path / "large.ifx"
    large = {**model.weights, "aa11": np.zeros(size, np.uint8)}
    save(dataclasses.replace(model, weights=large), path)
    del large
    load(path)  # threads and their buffers are there
    before = resident_bytes()
    artifact = load(path)
    assert resident_bytes() - before < size // 4
    assert len(artifact.model.weights["aa11"]) == size


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


text = st.text(st.characters(), max_size=12)  # every code point, lone surrogates too


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(text, max_size=20), st.lists(text, max_size=5), st.none() | text)
def test_any_text_survives_as_tokenizer_facts(
    tokens: list[str], merges: list[str], template: str | None
) -> None:
    facts = TokenizerFacts(
        kind="bpe",
        pre="",
        tokens=tuple(tokens),
        token_types=tuple(range(len(tokens))),
        merges=tuple(merges),
        bos_token_id=None,
        eos_token_ids=(),
        pad_token_id=None,
        unknown_token_id=None,
        add_bos=True,
        add_space_prefix=True,
        chat_template=template,
    )
    encoded = canonical_json(encode(facts))
    assert decode(TokenizerFacts, parse(encoded, "tokenizer"), "tokenizer") == facts


def test_a_value_without_a_place_in_an_artifact_is_not_saved(
    model: CompiledModel, tmp_path: Path
) -> None:
    facts = dataclasses.replace(model.facts, hidden_size=np.int64(24))
    with pytest.raises(TypeError, match="24"):
        save(dataclasses.replace(model, facts=facts), tmp_path / "tiny.ifx")
    assert list(tmp_path.iterdir()) == []
