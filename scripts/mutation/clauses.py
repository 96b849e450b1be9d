"""Which clauses a mutant seems to touch: those that the code around it names."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from harness.resources import clause_ids
from mutation.mutant import Mutant
from mutation.population import OURS, modules_of

ID = re.compile(r"\b[A-Z]{3}-\d{1,2}\b")


def touched_by(mutant: Mutant, others: Iterable[tuple[str, ...]] = ()) -> list[str]:
    """Return the clauses that the innermost function, class or module around a mutant names.

    If none of them names one, the clauses that most of `others` have: those of the scenarios that reach the mutant.
    """
    source = _source(mutant.module)
    lines = source.splitlines()
    for first, last in _around(mutant.module, mutant.line):
        if found := _named("\n".join(lines[first - 1 : last])):
            return found
    if found := _named(source):
        return found
    counted = Counter(clause for clauses in others for clause in clauses)
    return [clause for clause, _ in counted.most_common(3)]


def _named(text: str) -> list[str]:
    known = set(clause_ids())
    return [clause for clause in dict.fromkeys(ID.findall(text)) if clause in known]


@cache
def _source(module: str) -> str:
    package = OURS if module.startswith(f"{OURS}.") else module.rpartition(".")[0]
    return next(each.source for each in modules_of(package) if each.name == module)


@cache
def _around(module: str, line: int) -> list[tuple[int, int]]:
    """Return the lines of the functions and classes around a line, from the innermost one."""
    nodes = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(_source(module)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    return sorted((each for each in nodes if each[0] <= line <= each[1]), key=lambda each: each[1] - each[0])
