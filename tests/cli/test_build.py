"""From a model to its artifact: built once, found again, never half there; no kernel is made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inferflux import codegen
from inferflux.cli import build
from inferflux.cli.build import BuildOptions, artifact_for, best_target, compile_to
from inferflux.cli.model_argument import served_name
from inferflux.codegen import artifact
from inferflux.codegen.artifact.compiled import Conversion
from inferflux.codegen.targets import TARGETS
from inferflux.errors import InferFluxError, InvalidArgument

PORTABLE = BuildOptions(targets=("cpu:portable",))


@dataclass
class Compiler:
    """Stands for codegen: remembers what it was asked for, and writes that as the artifact."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    fails: bool = False
    quantised_to: list[str] = field(default_factory=list)
    conversions: tuple[Conversion, ...] = ()
    waits_for: threading.Event | None = None
    started: threading.Event = field(default_factory=threading.Event)

    def compile(self, source: Any, **options: Any) -> SimpleNamespace:
        self.asked.append(options)
        self.quantised_to.append(source.quantised_to)
        self.started.set()
        if self.waits_for is not None:
            assert self.waits_for.wait(10)
        if self.fails:
            raise InferFluxError("no kernel for this")
        options["progress"]("lower", 0.5)
        text = f"{source.path.name} for {options['targets']} {options['numerics']}"
        return SimpleNamespace(text=text, facts=SimpleNamespace(conversions=self.conversions))

    def save(self, model: SimpleNamespace, path: Path) -> str:
        path.write_text(model.text)
        return "digest"


@dataclass
class Heard:
    """A report that keeps what it is told."""

    stages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    noted: threading.Event = field(default_factory=threading.Event)

    def stage(self, name: str, fraction: float) -> None:
        self.stages.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)
        if "waiting" in text:
            self.noted.set()


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Compiler:
    made = Compiler()
    monkeypatch.setattr(codegen, "compile", made.compile, raising=False)
    monkeypatch.setattr(artifact, "save", made.save)
    monkeypatch.setenv("INFERFLUX_CACHE", str(tmp_path / "cache"))
    return made


@pytest.fixture
def model(tiny_gguf: Callable[..., Path]) -> str:
    return str(tiny_gguf())


def test_a_model_is_compiled_once_and_then_found(compiler: Compiler, model: str) -> None:
    heard = Heard()
    first = artifact_for(model, PORTABLE, heard)
    assert artifact_for(model, PORTABLE, heard) == first
    assert first.read_text() == "tiny.gguf for ('cpu:portable',) default"
    assert len(compiler.asked) == 1
    assert heard.stages == ["lower"]
    assert heard.notes == ["compiling tiny.gguf; the result is kept"]


def test_a_changed_model_is_compiled_again_and_the_reason_is_said(
    compiler: Compiler, model: str
) -> None:
    first, heard = artifact_for(model, PORTABLE, Heard()), Heard()
    with Path(model).open("ab") as file:
        file.write(b"\0")
    assert artifact_for(model, PORTABLE, heard) != first
    assert heard.notes[0].startswith("compiling tiny.gguf again: source changed")


def test_a_directory_is_named_by_itself_or_by_a_file_of_it(
    compiler: Compiler, tiny_directory: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_directory()
    first = artifact_for(str(folder), PORTABLE, Heard())
    assert first.parent.name == served_name(str(folder)) == "tiny-1.5"
    assert artifact_for(str(folder / "config.json"), PORTABLE, Heard()) == first
    assert artifact_for(str(folder / "model.safetensors"), PORTABLE, Heard()) == first
    monkeypatch.chdir(folder)
    assert artifact_for(".", PORTABLE, Heard()) == first
    assert served_name(".") == "tiny-1.5"
    assert compile_to(str(folder), None, PORTABLE, Heard()).path == Path("tiny-1.5.ifx")
    assert len(compiler.asked) == 2


def test_a_changed_compiler_compiles_again(
    compiler: Compiler, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, heard = artifact_for(model, PORTABLE, Heard()), Heard()
    monkeypatch.setattr(build, "toolchain", lambda: "apache-tvm: 99")
    assert artifact_for(model, PORTABLE, heard) != first
    assert "toolchain changed" in heard.notes[0]
    assert not first.exists()


def test_an_artifact_is_used_as_it_is(compiler: Compiler, tmp_path: Path) -> None:
    path = tmp_path / "model.ifx"
    assert artifact_for(str(path), PORTABLE, Heard()) == path
    assert compiler.asked == []


def test_a_failed_build_leaves_nothing_that_would_be_found(compiler: Compiler, model: str) -> None:
    compiler.fails = True
    with pytest.raises(InferFluxError, match="no kernel"):
        artifact_for(model, PORTABLE, Heard())
    compiler.fails = False
    assert artifact_for(model, PORTABLE, Heard()).exists()


def test_the_second_of_two_waits_and_takes_what_the_first_built(
    compiler: Compiler, model: str
) -> None:
    first, second = Heard(), Heard()
    compiler.waits_for = second.noted
    found: list[Path] = []

    def build_one(heard: Heard) -> None:
        found.append(artifact_for(model, PORTABLE, heard))

    threads = [threading.Thread(target=build_one, args=(heard,)) for heard in (first, second)]
    threads[0].start()
    assert compiler.started.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join(20)
    assert len(compiler.asked) == 1
    assert len(set(found)) == 1
    assert len(found) == 2


def test_an_output_that_is_named_is_written_there_each_time(
    compiler: Compiler, model: str, tmp_path: Path
) -> None:
    output = tmp_path / "made" / "here.ifx"
    for _ in range(2):
        built = compile_to(model, output, PORTABLE, Heard())
    assert built.path == output
    assert output.exists()
    assert len(compiler.asked) == 2


def test_a_quantised_build_is_another_and_is_said_to_be(compiler: Compiler, model: str) -> None:
    plain = artifact_for(model, PORTABLE, Heard())
    heard = Heard()
    made = artifact_for(model, replace(PORTABLE, quantise="q8_0"), heard)
    assert made != plain
    assert any("quantise changed: '' -> 'q8_0'" in note for note in heard.notes)
    assert compiler.quantised_to == ["", "q8_0"]


def test_an_unknown_type_to_quantise_to_is_refused(compiler: Compiler, model: str) -> None:
    with pytest.raises(InvalidArgument, match="'q4_2', only to q4_0, q4_1, q8_0, q4_k, q6_k"):
        artifact_for(model, replace(PORTABLE, quantise="q4_2"), Heard())


def test_what_a_build_rounds_is_said_and_what_it_keeps_is_not(
    compiler: Compiler, model: str, tmp_path: Path
) -> None:
    compiler.conversions = (
        Conversion("iq2_s", "f16", 7, 210_000, 380_000, "blk.3.ffn_up.weight"),
        Conversion("tq2_0", "q4_0", 7, 0, 0, "blk.0.attn_q.weight"),
    )
    heard = Heard()
    compile_to(model, tmp_path / "m.ifx", PORTABLE, heard)
    assert heard.notes == [
        "7 iq2_s tensors became f16: rms error 0.00021 of a tensor's own rms "
        "(worst: blk.3.ffn_up.weight), greatest 0.00038 of its greatest value"
    ]


def test_targets_are_built_best_first_whatever_the_order_of_asking(
    compiler: Compiler, model: str, tmp_path: Path
) -> None:
    asked = ("cpu:portable", "cpu:avx512", "cpu:portable")
    compile_to(model, tmp_path / "a.ifx", BuildOptions(targets=asked), Heard())
    assert compiler.asked[0]["targets"] == ("cpu:avx512", "cpu:portable")


def test_without_a_wish_the_best_target_of_the_machine_is_built(
    compiler: Compiler, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for features, best in (
        ({"x86_64", *TARGETS["cpu:avx512"].features}, "cpu:avx512"),
        ({"x86_64", "avx512f", *TARGETS["cpu:avx2"].features}, "cpu:avx2"),
        ({"x86_64", "avx512f"}, "cpu:portable"),
        ({"aarch64", "fp", "asimd", "asimddp", "i8mm"}, "cpu:neon-i8mm"),
        ({"aarch64", "fp", "asimd", "asimddp"}, "cpu:neon"),
        ({"aarch64", "fp", "asimd"}, "cpu:portable"),
    ):
        monkeypatch.setattr(artifact, "machine_features", lambda f=features: frozenset(f))
        assert best_target() == best


def test_a_machine_that_no_target_is_for_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "machine_features", lambda: frozenset({"riscv64"}))
    with pytest.raises(InvalidArgument, match="cpu:portable"):
        best_target()


def test_what_is_compiled_already_cannot_be_quantised(tmp_path):
    compiled = tmp_path / "model.ifx"
    with pytest.raises(InvalidArgument, match="compiled already; name a model file to quantise"):
        artifact_for(str(compiled), replace(PORTABLE, quantise="q4_0"), Heard())
