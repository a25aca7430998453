"""The program of the template sandbox: renders one template, in a process that may die.

It is started by its path, not imported, and so that it starts fast it knows nothing of InferFlux.
Standard input and output carry one JSON object a line: first the template and its budgets, then
the variables of each rendering.  Each is answered with ``text``, ``refused`` or ``error``.

What renders is Jinja2's own sandbox, set up as transformers does for chat templates, so every
template means here what it means there.  Its generated code counts what it does: a step for every
part of a statement each time it runs, and for what filters, calls and sums go through.
"""

from __future__ import annotations

import contextlib
import functools
import json
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

# What Jinja2 and the C library read from files when it is first asked for, and then no more.
WARM_UP = "{{ strftime_now('%H') | pprint | wordwrap }}{{ nothing.at_all }}"
EACH = "each item"  # a filter no template can name
CHARACTERS_A_STEP, ITEMS_A_STEP = 256, 16  # gone through in C
LONGEST_POWER = 4096  # bits
NOT_FOR_TEMPLATES = ("lipsum", "random")  # one text for one conversation


class Refused(Exception):
    """The template itself called ``raise_exception``."""


class OverBudget(Exception):
    """A budget is used up."""


def main() -> None:
    job = json.loads(sys.stdin.readline())
    confine(job["memory_bytes"])
    environment = MeteredEnvironment(job["steps"])
    template: list[jinja2.Template] = []
    compiling = functools.partial(compile_template, environment, job["template"], template)
    answer(compiling, job["seconds"])
    for line in sys.stdin:
        variables = json.loads(line)
        rendering = functools.partial(render, template[0], variables, job["max_output_bytes"])
        environment.meter.refill()
        answer(rendering, job["seconds"])


def answer(run: Callable[[], dict[str, str]], seconds: float) -> None:
    """One line to the parent, whatever ``run`` raises: this is a process boundary.

    ``seconds`` are of this process's own time: on a busy machine nobody fails for the others.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)  # whose signal ends the process
    try:
        frame = run()
    except Refused as refusal:
        frame = {"refused": str(refusal)}
    except MemoryError:
        frame = {"error": "it needs more memory than its budget allows"}
    except Exception as error:
        frame = {"error": described(error)}
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.write(json.dumps(frame) + "\n")
    sys.stdout.flush()


def described(error: Exception) -> str:
    line = f", in line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:400]}{line}"


def compile_template(
    environment: MeteredEnvironment, text: str, into: list[jinja2.Template]
) -> dict[str, str]:
    into.append(environment.from_string(text))
    return {"text": ""}


def render(template: jinja2.Template, variables: dict[str, Any], max_bytes: int) -> dict[str, str]:
    parts, size = [], 0
    for part in template.generate(variables):
        size += len(part.encode(errors="surrogatepass"))
        if size > max_bytes:
            raise OverBudget(f"the rendered text has over {max_bytes} bytes, its budget")
        parts.append(part)
    return {"text": "".join(parts)}


def confine(memory_bytes: int) -> None:
    """No file, no socket, no process, and so much memory, should a template get out of Jinja2."""
    with contextlib.suppress(jinja2.UndefinedError):
        MeteredEnvironment(steps=1000).from_string(WARM_UP).render()
    limits = {"CORE": 0, "FSIZE": 0, "NPROC": 0, "NOFILE": 3}
    for name, most in (limits | {"AS": memory_bytes}).items():
        with contextlib.suppress(ValueError, OSError):  # macOS does not have all of them
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


class Meter:
    """The steps that are left."""

    def __init__(self, steps: int) -> None:
        self._steps = self._left = steps

    def refill(self) -> None:
        self._left = self._steps

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise OverBudget(f"it takes more than {self._steps} steps, its budget")

    def each(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.spend(1)
            yield item


def size_of(value: object) -> int:
    """In steps: of a text its characters, of what has items their number."""
    if isinstance(value, str | bytes):
        return len(value) // CHARACTERS_A_STEP
    return len(value) // ITEMS_A_STEP if isinstance(value, list | tuple | dict | range) else 0


def power_bits(base: object, exponent: object) -> int:
    """Of a power of integers at most; it would be computed in one step, however long that takes."""
    if isinstance(base, int) and isinstance(exponent, int):
        return base.bit_length() * exponent
    return 0


class MeteredCode(CodeGenerator):
    """Jinja2's compiler, writing a line into every block that says what one run of it costs."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        for loop in node.find_all(nodes.For):
            if loop.test is not None:  # items that fail it never reach the loop's body
                loop.iter = nodes.Filter(loop.iter, EACH, [], [], None, None)
        super().visit_Template(node, frame)

    def blockvisit(self, nodes: Iterable[nodes.Node], frame: Frame) -> None:
        body = list(nodes)
        self.writeline(f"environment.meter.spend({1 + sum(map(weight, body))})")
        super().blockvisit(body, frame)


def weight(node: nodes.Node) -> int:
    """The parts of a statement, without those that stand in blocks of its own."""
    parts = node.iter_child_nodes(exclude=("body", "else_", "elif_"))
    return 1 + sum(map(weight, parts))


class GenerationTags(Extension):
    """``{% generation %}``: what an assistant said, marked for training; here a block like any."""

    tags = {"generation"}  # noqa: RUF012 - Jinja2 declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


class MeteredEnvironment(ImmutableSandboxedEnvironment):
    """Jinja2 as transformers sets it up for chat templates, with a meter."""

    code_generator_class = MeteredCode
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, steps: int) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,  # nothing is computed while compiling, where no step is counted
            extensions=[GenerationTags, loopcontrols],
        )
        self.meter = Meter(steps)
        self.filters["tojson"] = tojson
        self.globals |= {
            "raise_exception": raise_exception,
            "strftime_now": strftime_now,
            "dict": PlainDict(),
            "namespace": PlainNamespace,
        }
        for name in NOT_FOR_TEMPLATES:
            self.globals.pop(name, None)
            self.filters.pop(name, None)
        self.filters = {name: self._metered(each) for name, each in self.filters.items()}
        self.filters[EACH] = self.meter.each

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls: ``(context, function, *arguments)``, as Jinja2 passes it."""
        self.meter.spend(1 + sum(map(size_of, (getattr(args[1], "__self__", None), *args[2:]))))
        return self._counted(super().call(*args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and power_bits(left, right) > LONGEST_POWER:
            raise OverBudget(f"it computes a power of over {LONGEST_POWER} bits")
        return self._counted(super().call_binop(context, operator, left, right))

    def _metered(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def metered(*args: Any, **kwargs: Any) -> Any:
            self.meter.spend(1 + sum(map(size_of, args)))
            return self._counted(function(*args, **kwargs))

        return metered

    def _counted(self, result: Any) -> Any:
        if isinstance(result, Iterator):
            return self.meter.each(result)
        self.meter.spend(size_of(result))
        return result


class PlainDict:
    """What a template needs of ``dict``; the type itself would let it change its arguments."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class PlainNamespace(Namespace):
    """A namespace whose names are no part of Python's own, as transformers has it."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        names = dict(*args[1:], **kwargs)  # of which one may be `self`
        for name in names:
            check_name(name)
        Namespace.__init__(args[0], names)

    def __setitem__(self, name: str, value: object) -> None:
        check_name(name)
        super().__setitem__(name, value)


def check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot have {name!r}: no name may begin with _")


def raise_exception(message: str) -> None:
    raise Refused(message)


def strftime_now(spelling: str) -> str:
    return datetime.now().strftime(spelling)


def tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON for a model to read, not for a page: no character is escaped for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


if __name__ == "__main__":
    main()
