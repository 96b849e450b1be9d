"""Operators that need to know more than one node: wrong variables of the same type, and missing resets."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from mutation.operators import Change
from mutation.text import Text

Function = ast.FunctionDef | ast.AsyncFunctionDef
Fields = Mapping[str, str]
"""Another attribute of the same class and type, by attribute."""


def fields_of(trees: Iterable[ast.Module]) -> Fields:
    """Return for each attribute the next one that the same class declares with the same type.

    An attribute that several classes declare is left out, unless all of them agree.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for name, other in _same_types(node):
                    found[name].add(other)
    return {name: min(others) for name, others in found.items() if len(others) == 1}


def _same_types(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            names[ast.unparse(item.annotation)].append(item.target.id)
    for same in names.values():
        for index, name in enumerate(same):
            yield name, same[(index + 1) % len(same)] if len(same) > 1 else ""


def wrong_attribute(node: ast.AST, text: Text, fields: Fields) -> Iterator[Change]:
    """An attribute is replaced by another one of the same class and type."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and fields.get(node.attr):
        end = text.end(node)
        yield Change("attribute", end - len(node.attr.encode()), end, fields[node.attr])


def wrong_variables(function: Function, text: Text) -> Iterator[Change]:
    """A parameter is replaced by another one with the same annotation."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    names: dict[str, list[str]] = defaultdict(list)
    for argument in arguments:
        if argument.annotation is not None:
            names[ast.unparse(argument.annotation)].append(argument.arg)
    others = {name: same[(index + 1) % len(same)] for same in names.values() for index, name in enumerate(same)}
    for node in _own_nodes(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and others.get(node.id, node.id) != node.id:
            yield Change("variable", text.start(node), text.end(node), others[node.id])


def missing_resets(function: Function, text: Text) -> Iterator[Change]:
    """An attribute, an item or a variable that has a value already is not assigned."""
    if function.name in {"__init__", "__post_init__"}:
        return
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    bound = {argument.arg for argument in arguments}
    nodes = [node for node in _own_nodes(function) if isinstance(node, ast.Assign) and len(node.targets) == 1]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        (target,) = node.targets
        is_set = isinstance(target, ast.Attribute | ast.Subscript)
        if is_set or (isinstance(target, ast.Name) and target.id in bound):
            yield Change("reset", text.start(node), text.end(node), "pass")
        bound |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, without those of functions and f-strings in it."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop(0)
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.JoinedStr | ast.Raise):
            pending = [*ast.iter_child_nodes(node), *pending]
