"""The inverse of ir.print: text back to a graph, checked against the type rules on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import inferflux.ir.ops  # noqa: F401  an op can be named in a text once it is defined
from inferflux.ir.graph import OPS, Attr, Graph, Node, Op, Stacked, TypeRuleError, Value
from inferflux.ir.literals import MAX_RUN, ascending, expand_sources
from inferflux.ir.tokens import ParseError, Token, tokens
from inferflux.ir.types import DTYPES, Dim, TensorType

Scope = dict[str, Value]
T = TypeVar("T")

_TYPE = re.compile(r"(\w+)\[([^\]]*)\](?:@(.+))?")
_WORDS: dict[str, Attr] = {"none": None, "true": True, "false": False}


def parse(text: str) -> Graph:
    """The graph that prints as ``text``."""
    parser = _Parser([*tokens(text)])
    graph = parser.graph()
    parser.take("end")
    return graph


def parse_type(text: str) -> TensorType:
    """``f32[T, 576]@layout``.  Raises ValueError."""
    found = _TYPE.fullmatch(text)
    if not found or found[1] not in DTYPES:
        raise ValueError(f"{text} is not a type; dtypes are {', '.join(DTYPES)}")
    shape = tuple(_dim(dim.strip()) for dim in found[2].split(",")) if found[2] else ()
    return TensorType(DTYPES[found[1]], shape, found[3] or "")


def _dim(text: str) -> Dim:
    if text.isdecimal():
        return int(text)
    if not text.isidentifier():
        raise ValueError(f"{text!r} is not a dimension")
    return text


class _Parser:
    """Recursive descent; ``at`` is the next token.  Line breaks mean nothing but in messages."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def graph(self) -> Graph:
        self.word("graph")
        name = self.take("word").text if self.next.kind == "word" else "graph"
        scope: Scope = {}
        inputs = self.listed(lambda: self.declaration(scope))
        weights: list[Value] = []
        if self.next.text == "weights":
            self.word("weights")
            weights = self.listed(lambda: self.declaration(scope))
        self.mark(":")
        outputs = self.statements(scope, "return")
        return Graph(tuple(inputs), outputs, tuple(weights), name)

    def declaration(self, scope: Scope) -> Value:
        """``%name: type`` and, of a weight, ``= "tensor" + ...``"""
        name = self.take("value")
        self.mark(":")
        type_ = self.type()
        sources: list[str] = []
        while self.next.text == ("+" if sources else "="):
            self.at += 1
            sources += self.checked(expand_sources, self.take("string"))
        return self.define(scope, name, Value(type_, name.text[1:], sources=tuple(sources)))

    def statements(self, scope: Scope, last: str) -> tuple[Value, ...]:
        """Nodes up to ``return`` or ``yield``; gives what that lists."""
        while self.next.kind == "value":
            self.statement(scope)
        self.word(last)
        outputs = [self.use(scope)] if self.next.kind == "value" else []
        while outputs and self.next.text == ",":
            self.mark(",")
            outputs.append(self.use(scope))
        return tuple(outputs)

    def statement(self, scope: Scope) -> None:
        names = [self.take("value")]
        while self.next.text == ",":
            self.mark(",")
            names.append(self.take("value"))
        self.mark("=")
        op = self.op()
        hints = tuple(name.text[1:] for name in names)
        node = self.repeat(op, scope, hints) if op.name == "repeat" else self.call(op, scope, hints)
        if len(node.results) != len(names):
            raise self.error(names[0], f"{op} gives {len(node.results)} results, not {len(names)}")
        for name, result in zip(names, node.results, strict=True):
            self.define(scope, name, result)

    def call(self, op: Op, scope: Scope, hints: tuple[str, ...]) -> Node:
        """``(%operand, ..., name=attr, ...) : type, ...``"""
        at = self.next
        inputs: list[Value] = []
        attrs: dict[str, Attr] = {}
        self.listed(lambda: self.argument(scope, inputs, attrs))
        node = self.build(at, op, inputs, attrs, (), hints)
        self.mark(":")
        for index, result in enumerate(node.results):
            if index:
                self.mark(",")
            written = self.type()
            if written != result.type:
                raise self.error(at, f"{op} gives {result.type}, not {written}")
        return node

    def argument(self, scope: Scope, inputs: list[Value], attrs: dict[str, Attr]) -> None:
        if self.next.kind == "value":
            inputs.append(self.use(scope))
        else:
            self.attribute(attrs)

    def attribute(self, attrs: dict[str, Attr]) -> None:
        name = self.take("word").text
        self.mark("=")
        attrs[name] = self.attr()

    def repeat(self, op: Op, scope: Scope, hints: tuple[str, ...]) -> Node:
        """``(attributes) carry(...) with(...): kind 0(...): ... yield ... kind 1(...): ...``"""
        at = self.next
        attrs: dict[str, Attr] = {}
        self.listed(lambda: self.attribute(attrs))
        self.word("carry")
        bound = self.listed(lambda: self.binding(scope))
        self.word("with")
        bound += self.listed(lambda: self.binding(scope))
        self.mark(":")
        inputs = [outer for _, outer in bound]
        bodies: list[Graph] = []
        while self.next.text == "kind":
            body, stacks = self.kind(len(bodies), scope, bound)
            bodies.append(body)
            inputs += stacks
        return self.build(at, op, inputs, attrs, tuple(bodies), hints)

    def kind(
        self, number: int, scope: Scope, bound: list[tuple[Token, Value]]
    ) -> tuple[Graph, list[Value]]:
        """One body and the stacked weights it is bound to."""
        self.word("kind")
        if self.integer() != number:
            raise self.error(self.next, f"kinds are numbered in order, {number} is next")
        inner: Scope = {}
        inputs = [self.define(inner, n, Value(v.type, n.text[1:])) for n, v in bound]
        stacks = self.listed(lambda: self.binding(scope))
        weights = [self.define(inner, n, Value(_layer(v.type), n.text[1:])) for n, v in stacks]
        self.mark(":")
        outputs = self.statements(inner, "yield")
        return Graph(tuple(inputs), outputs, tuple(weights)), [outer for _, outer in stacks]

    def binding(self, scope: Scope) -> tuple[Token, Value]:
        """``%inner = %outer``, or ``%name`` if both have one name."""
        name = self.take("value")
        if self.next.text != "=":
            return name, self.find(scope, name)
        self.mark("=")
        return name, self.use(scope)

    def attr(self) -> Attr:
        if self.next.text == "(":
            return tuple(attr for entries in self.listed(self.entries) for attr in entries)
        token = self.take("float", "int", "string", "stacked", "word")
        match token.kind:
            case "float":
                return float(token.text)
            case "int":
                return self.checked(int, token)
            case "string":
                return str(self.checked(json.loads, token))
            case "stacked":
                return Stacked(token.text[1:])
        if token.text not in _WORDS:
            raise self.error(token, f"{token.text} is not an attribute's value")
        return _WORDS[token.text]

    def entries(self) -> list[Attr]:
        """One entry of a tuple, or several: ``0..29``, ``0..28:2``, ``0*30``"""
        at = self.next
        first = self.attr()
        entries: list[Attr] = [first]
        if self.next.text == ".." and isinstance(first, int):
            self.mark("..")
            last = self.integer()
            step = self.step()
            entries = [*self.checked(lambda _: ascending(first, last, step), at)]
        if self.next.text == "*":
            self.mark("*")
            times = self.integer()
            if not 0 < times * len(entries) <= MAX_RUN:
                raise self.error(at, f"{times} times {len(entries)} is past {MAX_RUN} entries")
            entries *= times
        return entries

    def step(self) -> int:
        """``:2`` of a run that does not count by ones."""
        if self.next.text != ":":
            return 1
        self.mark(":")
        return self.integer()

    def op(self) -> Op:
        token = self.take("word")
        if token.text not in OPS:
            raise self.error(token, f"there is no op {token.text}")
        return OPS[token.text]

    def build(
        self,
        at: Token,
        op: Op,
        inputs: list[Value],
        attrs: Mapping[str, Attr],
        bodies: tuple[Graph, ...],
        hints: tuple[str, ...],
    ) -> Node:
        try:
            return op.node(inputs, attrs, bodies, hints)
        except TypeRuleError as error:
            raise self.error(at, str(error)) from error

    def integer(self) -> int:
        return self.checked(int, self.take("int"))

    def type(self) -> TensorType:
        return self.checked(parse_type, self.take("type"))

    def listed(self, item: Callable[[], T]) -> list[T]:
        """``(item, item, ...)``"""
        self.mark("(")
        items: list[T] = []
        while self.next.text != ")":
            if items:
                self.mark(",")
            items.append(item())
        self.mark(")")
        return items

    def define(self, scope: Scope, name: Token, value: Value) -> Value:
        if name.text in scope:
            raise self.error(name, f"{name.text} is defined twice")
        scope[name.text] = value
        return value

    def use(self, scope: Scope) -> Value:
        return self.find(scope, self.take("value"))

    def find(self, scope: Scope, name: Token) -> Value:
        if name.text not in scope:
            raise self.error(name, f"{name.text} is used before it is defined")
        return scope[name.text]

    def word(self, text: str) -> None:
        if self.next.kind != "word" or self.next.text != text:
            raise self.error(self.next, f"{text} expected, found {self.next.text!r}")
        self.at += 1

    def mark(self, text: str) -> None:
        if self.next.kind != "mark" or self.next.text != text:
            raise self.error(self.next, f"{text!r} expected, found {self.next.text!r}")
        self.at += 1

    def take(self, *kinds: str) -> Token:
        token = self.next
        if token.kind not in kinds:
            raise self.error(token, f"{' or '.join(kinds)} expected, found {token.text!r}")
        self.at += 1
        return token

    def checked(self, read: Callable[[str], T], token: Token) -> T:
        try:
            return read(token.text)
        except ValueError as error:
            raise self.error(token, str(error)) from error

    @staticmethod
    def error(token: Token, message: str) -> ParseError:
        return ParseError(f"line {token.line}: {message}")


def _layer(stacked: TensorType) -> TensorType:
    """The type of one layer of a stacked weight."""
    return TensorType(stacked.dtype, stacked.shape[1:], stacked.layout)
