"""The text of functions, as TIR: the part of TVMScript that templates are written in.

TVM's own parser understands more, and takes ten times as long: it copies the tree twice and has
Python compile every expression in it by itself. Here a tree is walked once. Nothing is executed:
a name is one that the text binds or is given, and only what is listed here has a meaning.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inferflux.errors import InferFluxError

_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.USub: operator.neg,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class ScriptError(InferFluxError):
    """A template gave text that is no TVMScript, or of a kind that steps are not written in."""

    code = "internal"


def read_function(text: str, names: Mapping[str, Any]) -> Any:
    """The function that a text defines, as TVM's ``PrimFunc``.

    Args:
        names: what the text may speak of: ``T``, the words, numbers and texts.

    Raises:
        ScriptError: a statement or an expression is of no kind that is known here.
    """
    from tvm.script.ir_builder.base import IRBuilder

    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef), "a text defines one function"
    with IRBuilder() as builder:
        _Reader(text, names, IRBuilder.name).function(function)
    return builder.get()


class _Reader:
    """Walks a tree and calls what TVM builds functions with; ``T`` is TVM's own names for that."""

    def __init__(self, text: str, names: Mapping[str, Any], name: Callable[[str, Any], Any]):
        import tvm
        from tvm.tirx.script import builder

        self._text, self._names, self._name = text, dict(names), name
        self._tvm, self._builder = tvm, builder

    def function(self, node: ast.FunctionDef) -> None:
        with self._builder.prim_func(is_private=False, s_tir=True):
            self._builder.func_name(node.name)
            for argument in node.args.args:
                assert argument.annotation is not None, f"{argument.arg} has no type"
                kind = self._value(argument.annotation)
                kind = kind if isinstance(kind, self._tvm.ir.Expr) else kind()
                self._names[argument.arg] = self._builder.arg(argument.arg, kind)
            if node.returns is not None:
                self._builder.func_ret(self._value(node.returns)().ty)
            self._body(node.body)

    def _body(self, nodes: Sequence[ast.stmt]) -> None:
        for node in nodes:
            getattr(self, f"_{type(node).__name__.lower()}", self._unknown)(node)

    def _for(self, node: ast.For) -> None:
        with self._value(node.iter) as variable:
            assert isinstance(node.target, ast.Name), "a loop has one variable"
            self._bind(node.target.id, variable)
            self._body(node.body)

    def _while(self, node: ast.While) -> None:
        with self._builder.While(self._value(node.test)):
            self._body(node.body)

    def _if(self, node: ast.If) -> None:
        with self._builder.If(self._condition(node.test)):
            with self._builder.Then():
                self._body(node.body)
            if node.orelse:
                with self._builder.Else():
                    self._body(node.orelse)

    def _with(self, node: ast.With) -> None:
        (item,) = node.items
        with self._value(item.context_expr):
            self._body(node.body)

    def _expr(self, node: ast.Expr) -> None:
        self._value(node.value)

    def _return(self, node: ast.Return) -> None:
        assert node.value is not None, f"line {node.lineno}: what is returned?"
        self._builder.Return(self._value(node.value))

    def _break(self, node: ast.Break) -> None:
        self._builder.evaluate(self._builder.break_loop())

    def _assert(self, node: ast.Assert) -> None:
        message = self._value(node.msg) if node.msg else ""
        with self._builder.Assert(self._condition(node.test), message):
            pass

    def _assign(self, node: ast.Assign) -> None:
        """A store to a buffer, or the name of a new one."""
        (target,) = node.targets
        if isinstance(target, ast.Subscript):
            value = self._value(node.value)
            self._builder.buffer_store(self._value(target.value), value, self._value(target.slice))
        else:
            assert isinstance(target, ast.Name), f"line {node.lineno}: what is assigned to?"
            self._bind(target.id, self._value(node.value))

    def _annassign(self, node: ast.AnnAssign) -> None:
        """``name: T.let = value``, a number that never changes."""
        assert isinstance(node.target, ast.Name), f"line {node.lineno}: a number has a name"
        assert node.value is not None, f"line {node.lineno}: {node.target.id} has no value"
        value = self._value(node.value)
        if not isinstance(value, self._tvm.ir.Expr):
            value = self._tvm.tirx.const(value)
        variable = self._value(node.annotation).as_var(rhs_dtype=value.ty)
        self._bind(node.target.id, variable)
        self._builder.Bind(value, var=variable)

    def _bind(self, name: str, value: Any) -> None:
        self._name(name, value)
        self._names[name] = value

    def _condition(self, node: ast.expr) -> Any:
        value = self._value(node)
        return self._tvm.tirx.const(value, "bool") if isinstance(value, bool) else value

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self._names:
                return self._names[name]
            case ast.Call():
                named = {each.arg: self._value(each.value) for each in node.keywords if each.arg}
                return self._value(node.func)(*map(self._value, node.args), **named)
            case ast.Attribute():
                return getattr(self._value(node.value), node.attr)
            case ast.Subscript():
                return self._value(node.value)[self._value(node.slice)]
            case ast.BinOp() if type(node.op) in _OPERATORS:
                left, right = self._value(node.left), self._value(node.right)
                return _OPERATORS[type(node.op)](left, right)
            case ast.UnaryOp() if type(node.op) in _OPERATORS:
                return _OPERATORS[type(node.op)](self._value(node.operand))
            case ast.Compare(ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return self._compared(_OPERATORS[type(op)], node.left, right)
            case ast.BoolOp(op=ast.And()):
                return self._tvm.tirx.all(*map(self._condition, node.values))
            case ast.List(elts=elements):
                return [self._value(each) for each in elements]
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return {self._value(key): self._value(value) for key, value in pairs if key}
            case ast.Tuple(elts=elements):
                return tuple(self._value(each) for each in elements)
            case _:
                return self._unknown(node)

    def _compared(self, compare: Callable[..., Any], left: ast.expr, right: ast.expr) -> Any:
        """Of == and != Python gets what may yet be asked whether two trees are one."""
        found = compare(self._value(left), self._value(right))
        is_open = isinstance(found, self._tvm.runtime.ObjectConvertible)
        return found.asobject() if is_open else found

    def _unknown(self, node: ast.AST) -> Any:
        line = getattr(node, "lineno", 0)
        written = ast.get_source_segment(self._text, node) or type(node).__name__
        raise ScriptError(f"line {line} of a step's text: {written[:80]!r} has no meaning here")
