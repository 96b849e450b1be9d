"""The operators: which small changes a piece of syntax allows. Each yields changes of one node."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mutation.text import Text

LARGE = 10
"""Numbers up to here are changed by one, larger ones by a factor of two: a limit of 512 MiB is not off by one byte."""
BINARY = 2
ORDER = {ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">")}
EQUALITY = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
}
ARITHMETIC = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "//"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}
NUMERIC = re.compile(r"\d|_seconds|_bytes|count|number|start|end|size|index|monotonic|len\(|time")
"""What a sum of numbers has in its text, and one of texts or lists rarely."""
WITHOUT_EFFECT = {"strict", "repr", "slots", "frozen", "kw_only", "daemon", "allow_nan", "use_threads"}
"""Keyword arguments whose constants change nothing that the contract is about."""
KEY_METHODS = {
    "get",
    "pop",
    "startswith",
    "endswith",
    "removeprefix",
    "removesuffix",
    "partition",
    "rpartition",
    "split",
}
BUG_SWITCHES = {"has_bug", "bug", "self._bug", "self.bug"}


@dataclass(frozen=True, slots=True)
class Change:
    """A replacement of the bytes from `start` to `end`."""

    operator: str
    start: int
    end: int
    replacement: str


def is_switched_off(node: ast.AST) -> bool:
    """Return whether an expression is true only if a bug of the reference worker is switched on."""
    if isinstance(node, ast.BoolOp):
        switched = map(is_switched_off, node.values)
        return any(switched) if isinstance(node.op, ast.And) else all(switched)
    return isinstance(node, ast.Call) and ast.unparse(node.func) in BUG_SWITCHES


def _is_switch(node: ast.AST) -> bool:
    return is_switched_off(node.operand if isinstance(node, ast.UnaryOp) else node)


def _whole(text: Text, node: ast.expr | ast.stmt, operator: str, replacement: str) -> Change:
    return Change(operator, text.start(node), text.end(node), replacement)


def _between(text: Text, left: ast.expr, right: ast.expr, swap: tuple[str, str], operator: str) -> Iterator[Change]:
    """Replace the operator sign between two operands."""
    start = text.end(left)
    gap = text.between(start, text.start(right))
    found = re.search(swap[0], gap)
    if found is not None:
        start += len(gap[: found.start()].encode())
        yield Change(operator, start, start + len(found[0].encode()), swap[1])


def comparison(node: ast.AST, text: Text) -> Iterator[Change]:
    """`<` becomes `<=`, `==` becomes `!=`, `in` becomes `not in`, and so on."""
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for left, sign, right in zip(operands, node.ops, operands[1:], strict=False):
            if type(sign) in ORDER:
                yield from _between(text, left, right, ORDER[type(sign)], "boundary")
            else:
                yield from _between(text, left, right, EQUALITY[type(sign)], "comparison")


def condition(node: ast.AST, text: Text) -> Iterator[Change]:
    """A condition is negated: branches are swapped."""
    tests: list[ast.expr] = []
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        tests = [node.test]
    elif isinstance(node, ast.comprehension):
        tests = node.ifs
    for test in tests:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            yield _whole(text, test, "negated", f"({text.of(test.operand)})")
        elif isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in EQUALITY:
            continue  # `comparison` makes the same mutant
        elif not (isinstance(test, ast.Constant) or is_switched_off(test)):
            yield _whole(text, test, "negated", f"(not ({text.of(test)}))")


def logic(node: ast.AST, text: Text) -> Iterator[Change]:
    """`and` becomes `or`, `or` becomes `and`, and each operand is dropped."""
    if not isinstance(node, ast.BoolOp) or is_switched_off(node):
        return
    swap = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    for left, right in zip(node.values, node.values[1:], strict=False):
        if not (is_switched_off(left) or is_switched_off(right)):
            yield from _between(text, left, right, swap, "logic")
    for dropped in node.values:
        if _is_switch(dropped):
            continue
        rest = f" {swap[0]} ".join(f"({text.of(value)})" for value in node.values if value is not dropped)
        yield _whole(text, node, "operand", rest if len(node.values) == BINARY else f"({rest})")


def statement(node: ast.AST, text: Text) -> Iterator[Change]:
    """A call for its effect, an update, a `raise` or a `del` is dropped; `break` and `continue` are swapped."""
    if isinstance(node, ast.Expr):
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.Call):
            yield _whole(text, node, "dropped", "pass")
    elif isinstance(node, ast.AugAssign | ast.Raise | ast.Delete):
        yield _whole(text, node, "dropped", "pass")
    elif isinstance(node, ast.Break | ast.Continue):
        yield _whole(text, node, "loop", "continue" if isinstance(node, ast.Break) else "break")


def awaited(node: ast.AST, text: Text) -> Iterator[Change]:
    """A value is used without being awaited; statements are left to `statement`, which has the same effect."""
    for field in ("value", "test", "iter"):
        found = getattr(node, field, None)
        if isinstance(found, ast.Await) and not isinstance(node, ast.Expr):
            yield _whole(text, found, "unawaited", f"({text.of(found.value)})")


def block(node: ast.AST, text: Text) -> Iterator[Change]:
    """A context that has no name (a lock, a timeout, `suppress`) is dropped, or one type of an exception handler."""
    if isinstance(node, ast.With | ast.AsyncWith) and len(node.items) == 1 and node.items[0].optional_vars is None:
        expression = node.items[0].context_expr
        colon = text.content.index(b":", text.end(expression))
        yield Change("unguarded", text.start(node), colon, "if True")
    if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Tuple):
        for dropped in node.type.elts:
            rest = ", ".join(text.of(each) for each in node.type.elts if each is not dropped)
            yield _whole(text, node.type, "handler", f"({rest},)")


def constant(node: ast.AST, text: Text) -> Iterator[Change]:
    """A number is off by one, or by a factor of two if it is large; a truth value is the other one."""
    fields = [node.value] if isinstance(node, ast.keyword) and node.arg not in WITHOUT_EFFECT else []
    if not isinstance(node, ast.keyword):
        fields = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    for child in fields:
        if not isinstance(child, ast.Constant):
            continue
        if isinstance(child.value, bool):
            yield _whole(text, child, "constant", str(not child.value))
        elif isinstance(child.value, int | float):
            value = child.value
            changed = [value * 2, value / 2 if isinstance(value, float) else value // 2]
            if isinstance(value, int) and value <= LARGE:
                changed = [value + 1, value - 1]
            for new in dict.fromkeys(changed):
                if new != value:
                    yield _whole(text, child, "constant", f"({new})" if new < 0 else str(new))


def key(node: ast.AST, text: Text) -> Iterator[Change]:
    """A text that is compared, looked up or a key is another one."""
    found: Sequence[ast.expr | None] = []
    if isinstance(node, ast.Compare):
        found = [node.left, *node.comparators]
    elif isinstance(node, ast.Subscript) and text.of(node.value) != "Literal":
        found = [node.slice]
    elif isinstance(node, ast.Dict):
        found = [*node.keys]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KEY_METHODS:
        found = node.args[:1]
    for child in found:
        if isinstance(child, ast.Constant) and isinstance(child.value, str) and child.value:
            yield _whole(text, child, "text", repr(child.value + "?"))


def bound(node: ast.AST, text: Text) -> Iterator[Change]:
    """The bounds of a slice or of a range are off by one."""
    bounds: list[tuple[ast.expr | None, str]] = []
    if isinstance(node, ast.Slice):
        bounds = [(node.lower, "+"), (node.upper, "-")]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and node.args:
        signs = ["+", "-"] if len(node.args) > 1 else ["-"]
        bounds = list(zip(node.args, signs, strict=False))
    for each, sign in bounds:
        if each is not None and not isinstance(each, ast.Constant | ast.Starred):
            yield _whole(text, each, "offset", f"({text.of(each)}) {sign} 1")


def arithmetic(node: ast.AST, text: Text) -> Iterator[Change]:
    """`+` becomes `-`, `min` becomes `max`, `any` becomes `all`, and an order is not made."""
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        of_text = any(isinstance(child, ast.JoinedStr) for child in ast.walk(node))
        of_text |= any(isinstance(child, ast.Constant) and isinstance(child.value, str) for child in ast.walk(node))
        if not of_text and (not isinstance(node.op, ast.Add) or NUMERIC.search(text.of(node))):
            yield from _between(text, node.left, node.right, ARITHMETIC[type(node.op)], "arithmetic")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        plain = node.func.id != "sorted" or not node.keywords
        if plain:
            yield _whole(text, node.func, "function", CALLS[node.func.id])


def cached(node: ast.AST, text: Text) -> Iterator[Change]:
    """A function always returns its first result."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("__"):
        return
    inner = [each for each in ast.walk(node) if isinstance(each, ast.Yield | ast.YieldFrom)]
    returns = [each for each in ast.walk(node) if isinstance(each, ast.Return) and each.value is not None]
    if inner or not returns or all(isinstance(each.value, ast.Constant) for each in returns):
        return
    start = text.start(node)  # the keyword `def`; decorators are before it
    decorator = '@__import__("mutation.first_result", fromlist=["first_result"]).first_result'
    yield Change("cached", start, start, f"{decorator}\n{' ' * node.col_offset}")


OPERATORS = (comparison, condition, logic, statement, awaited, block, constant, key, bound, arithmetic, cached)
