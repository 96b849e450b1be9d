"""All mutants of a worker, in a fixed order, and samples of them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random

from mutation.mutant import Mutant
from mutation.operators import BUG_SWITCHES, OPERATORS, Change, is_switched_off
from mutation.text import Text
from mutation.variables import Fields, Function, fields_of, missing_resets, wrong_attribute, wrong_variables

ROOT = Path(__file__).resolve().parents[2]
OURS, REFERENCE = "cryo_ingest", "harness.reference"
OUTSIDE = (
    "cli", "sync", "audit", "run", "tables", "logs", "meter", "gateway_command", "from_wheel", "streams", "errors",
    "serve.metrics", "serve.health", "serve.status", "ports", "network",
)  # fmt: skip
"""Modules of our worker of which the contract says nothing: what people read, and what other commands do."""
OUTSIDE_OF_REFERENCE = ("bugs", "adversarial", "log", "__main__")
"""The reference worker's switchable bugs, its log, and a worker that cheats on purpose."""
NEVER_RUN = {"TYPE_CHECKING", "__name__ == '__main__'"}
SKIPPED_FUNCTIONS = {"__repr__", "__str__"}


@dataclass(frozen=True, slots=True)
class Module:
    """A module that is mutated; `inner` are the lines in functions, which are not executed at import."""

    name: str
    source: str
    inner: frozenset[int] = field(repr=False)


def path_of(module: str) -> Path:
    """Return the file of a module."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


@cache
def modules_of(package: str) -> tuple[Module, ...]:
    """Return the modules of a worker that the contract is about."""
    folder = ROOT / package.replace(".", "/")
    outside = OUTSIDE if package == OURS else OUTSIDE_OF_REFERENCE
    found = []
    for path in sorted(folder.rglob("*.py")):
        local = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        if not any(local == each or local.startswith(f"{each}.") for each in outside) and local != "__init__":
            source = path.read_text(encoding="utf-8")
            found.append(Module(f"{package}.{local}", source, inner_lines(source)))
    return tuple(found)


def inner_lines(source: str) -> frozenset[int]:
    """Return the lines of all functions' bodies."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]
    ranges = [_body_lines(node) for node in functions]
    return frozenset(number for first, last in ranges for number in range(first, last + 1))


@cache
def all_mutants(package: str, prefix: str = "") -> tuple[Mutant, ...]:
    """Return the mutants of a worker's modules whose name starts so, by module and position."""
    modules = modules_of(package)
    fields = fields_of([ast.parse(module.source) for module in modules])
    chosen = [module for module in modules if module.name.startswith(prefix)]
    return tuple(mutant for module in chosen for mutant in mutants_of(module.name, module.source, fields))


def sample(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return `count` mutants that a seed chooses, in their own order; a larger sample includes a smaller one."""
    chosen = list(mutants)
    Random(seed).shuffle(chosen)  # noqa: S311 - a seed makes the sample repeatable
    names = {mutant.name for mutant in chosen[:count]}
    return [mutant for mutant in mutants if mutant.name in names]


def mutants_of(module: str, source: str, fields: Fields) -> list[Mutant]:
    """Return the mutants of a source, each once, in the order of their positions."""
    text, numbers, found = Text(source), Counter[tuple[int, str]](), []
    changes = dict(_changes(text, ast.parse(source), fields))
    seen: set[tuple[int, int, str]] = set()
    for change in sorted(changes, key=lambda change: (change.start, change.end, change.operator, change.replacement)):
        line = text.content[: change.start].count(b"\n") + 1
        numbers[line, change.operator] += 1
        place = changes[change]
        mutant = Mutant(
            module, line, change.operator, numbers[line, change.operator], change.start, change.end,
            change.replacement, place.lines, place.symbol,
        )  # fmt: skip
        edit = change.start, change.end, change.replacement
        if edit not in seen and text.between(change.start, change.end) != change.replacement:
            seen.add(edit)
            found.append(mutant)
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where a change is: the lines of its statement, and what the statement defines if it runs only at import."""

    lines: tuple[int, int] = (0, 0)
    symbol: str = ""
    is_in_function: bool = False


def _changes(text: Text, tree: ast.Module, fields: Fields) -> Iterator[tuple[Change, Place]]:
    pending: list[tuple[ast.AST, Place]] = [(tree, Place())]
    while pending:
        node, place = pending.pop()
        own = Place(_body_lines(node), "", is_in_function=True) if isinstance(node, Function) else place
        for operator in OPERATORS:
            yield from ((change, own) for change in operator(node, text))
        yield from ((change, place) for change in wrong_attribute(node, text, fields))
        if isinstance(node, Function):
            lines = _lines_of_statements(node, text)
            for change in (*wrong_variables(node, text), *missing_resets(node, text)):
                yield change, replace(own, lines=_lines_at(lines, change))
        skipped = skipped_children(node)
        pending += [(child, _place_of(node, child, place)) for child in ast.iter_child_nodes(node)
                    if child not in skipped and not is_for_people(child)]  # fmt: skip


def _place_of(parent: ast.AST, child: ast.AST, place: Place) -> Place:
    """Return the place of a child of a node."""
    if isinstance(parent, Function | ast.Lambda):
        body = parent.body if isinstance(parent.body, list) else [parent.body]
        if child in body:
            place = replace(place, symbol="", is_in_function=True)
        elif not place.is_in_function:
            place = replace(place, symbol=getattr(parent, "name", ""))
    if not isinstance(child, ast.stmt):
        return place
    if not place.is_in_function and isinstance(child, ast.Assign | ast.AnnAssign | ast.ClassDef):
        place = replace(place, symbol=_defined_by(child))
    return replace(place, lines=_header_lines(child))


def _defined_by(node: ast.Assign | ast.AnnAssign | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return next((each.id for each in ast.walk(target) if isinstance(each, ast.Name)), "")


def _header_lines(node: ast.stmt) -> tuple[int, int]:
    """Return the lines of a statement without the block below it."""
    body = getattr(node, "body", None)
    last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
    return node.lineno, last


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[int, int]:
    return node.body[0].lineno, node.end_lineno or node.lineno


def _lines_of_statements(function: ast.AST, text: Text) -> list[tuple[int, int, tuple[int, int]]]:
    """Return the first and the last byte of each statement of a function, and its lines."""
    statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
    return [(text.start(node), text.end(node), _header_lines(node)) for node in statements]


def _lines_at(statements: list[tuple[int, int, tuple[int, int]]], change: Change) -> tuple[int, int]:
    """Return the lines of the smallest statement that contains a change."""
    around = [each for each in statements if each[0] <= change.start and change.end <= each[1]]
    return min(around, key=lambda each: each[1] - each[0])[2]


def skipped_children(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a node that are not mutated: types, decorators, and what a correct worker never runs."""
    if isinstance(node, Function):
        return [*node.decorator_list, *([node.returns] if node.returns else [])]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list]
    if isinstance(node, ast.arg | ast.AnnAssign):
        return [node.annotation] if node.annotation else []
    if isinstance(node, ast.If | ast.IfExp) and (is_switched_off(node.test) or ast.unparse(node.test) in NEVER_RUN):
        return [node.test, *(node.body if isinstance(node.body, list) else [node.body])]
    return []


def is_for_people(node: ast.AST) -> bool:
    """Return whether a node makes a text for people: docstrings, messages of errors, the log, f-strings."""
    if isinstance(node, Function):
        return node.name in SKIPPED_FUNCTIONS
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        return name.rpartition(".")[0].endswith("log") or name.endswith("Error") or name in BUG_SWITCHES
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) or is_for_people(node.value)
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)
