"""The program of the template sandbox: renders one template, in a process that may die.

It is started by its path, not imported, and so that it starts fast it knows nothing of InferFlux.
Standard input and output carry one JSON object a line: first the template and its budgets, then
the variables of each rendering.  Each is answered with ``text``, ``refused`` or ``error``.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from minijinja import Environment, TemplateError

NAME = "chat_template"


class Refused(Exception):
    """The template itself called ``raise_exception``."""


def main() -> None:
    job = json.loads(sys.stdin.readline())
    limit_memory(job["memory_bytes"])
    environment = new_environment(job["fuel"])
    answer(lambda: compile_template(environment, job["template"]))
    for line in sys.stdin:
        variables = json.loads(line)
        answer(lambda: render(environment, variables, job["max_output_bytes"]))  # noqa: B023


def answer(run: Callable[[], dict[str, str]]) -> None:
    """One line to the parent, whatever ``run`` raises: this is a process boundary."""
    try:
        frame = run()
    except Refused as refusal:
        frame = {"refused": str(refusal)}
    except TemplateError as error:
        frame = {"error": str(error).partition("\n")[0]}
    except Exception as error:
        frame = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(frame) + "\n")
    sys.stdout.flush()


def compile_template(environment: Environment, template: str) -> dict[str, str]:
    environment.add_template(NAME, template)
    return {"text": ""}


def render(environment: Environment, variables: dict[str, Any], max_bytes: int) -> dict[str, str]:
    text = environment.render_template(NAME, **variables)
    size = len(text.encode())
    if size > max_bytes:
        return {"error": f"the rendered text has {size} bytes, the budget is {max_bytes}"}
    return {"text": text}


def limit_memory(num_bytes: int) -> None:
    """Past it an allocation aborts this process, which is all that a bomb may take down."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit: time is the budget
        resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))


def new_environment(fuel: int) -> Environment:
    """Jinja as transformers sets it up for chat templates."""
    return Environment(
        fuel=fuel,
        debug=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined_behavior="lenient",  # prints nothing, but has no attributes
        filters={"tojson": tojson},
        tests={"sequence": is_sequence, "iterable": is_iterable},
        globals={"raise_exception": raise_exception, "strftime_now": strftime_now},
    )


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


def is_sequence(value: Any) -> bool:
    """Jinja2's meaning: whatever has a length and items, so text and mappings too."""
    return isinstance(value, (str, list, tuple, dict))


def is_iterable(value: Any) -> bool:
    """Jinja2's meaning: None is not.  (Undefined is, there; here it arrives as None.)"""
    return isinstance(value, Iterable)


if __name__ == "__main__":
    main()
