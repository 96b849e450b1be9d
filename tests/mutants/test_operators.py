"""The operators change what they say, and nothing else."""

import ast

import pytest
from mutation.population import mutants_of
from mutation.variables import fields_of

FIELDS = fields_of(
    [
        ast.parse("class Task:\n    start: int\n    end: int\n    name: str\n"),
        ast.parse("class Chunk:\n    name: str\n    path: str\n"),
    ]
)


def changed(source: str, operator: str) -> list[str]:
    """Return the lines that the mutants of one operator have instead of those of a source."""
    lines = set(source.splitlines())
    mutants = [each for each in mutants_of("some.module", source, FIELDS) if each.operator == operator]
    return [
        " / ".join(line.strip() for line in mutant.apply(source).splitlines() if line not in lines)
        for mutant in mutants
    ]


@pytest.mark.parametrize(
    ("operator", "line", "expected"),
    [
        ("boundary", "x = a < b", ["x = a <= b"]),
        ("boundary", "x = 'é' < a <= b", ["x = 'é' <= a <= b", "x = 'é' < a < b"]),
        ("comparison", "x = a not  in b", ["x = a in b"]),
        ("comparison", "x = a is None", ["x = a is not None"]),
        ("negated", "x = 1 if a else 2", ["x = 1 if (not (a)) else 2"]),
        ("negated", "x = [y for y in z if not y]", ["x = [y for y in z if (y)]"]),
        ("negated", "x = 1 if a == b else 2", []),
        ("logic", "x = a and b", ["x = a or b"]),
        ("operand", "x = a or b", ["x = (a)", "x = (b)"]),
        ("dropped", "f(1)", ["pass"]),
        ("dropped", "log.info(1)", []),
        ("dropped", "x += 1", ["pass"]),
        ("constant", "x = True", ["x = False"]),
        ("constant", "x = 3", ["x = 2", "x = 4"]),
        ("constant", "x = 3000", ["x = 1500", "x = 6000"]),
        ("constant", "x: Literal[1] = y", []),
        ("text", "x = a['key']", ["x = a['key?']"]),
        ("text", "x = {'key': 'value'}", ["x = {'key?': 'value'}"]),
        ("offset", "x = a[b:c]", ["x = a[(b) + 1:c]", "x = a[b:(c) - 1]"]),
        ("offset", "x = range(n)", ["x = range((n) - 1)"]),
        ("arithmetic", "x = count + 1", ["x = count - 1"]),
        ("arithmetic", "x = a + 'text'", []),
        ("function", "x = min(a, b)", ["x = max(a, b)"]),
        ("attribute", "x = task.start", ["x = task.end"]),
        ("attribute", "x = task.name", []),
    ],
)
def test_an_operator_changes_a_line(operator: str, line: str, expected: list[str]):
    """Each operator makes its mutants of a line, and none of what people read."""
    assert changed(line, operator) == expected


@pytest.mark.parametrize(
    ("operator", "body", "expected"),
    [
        ("dropped", "await f()", ["pass"]),
        ("dropped", "raise E(1)", ["pass"]),
        ("unawaited", "return await f()", ["return (f())"]),
        ("unguarded", "async with lock:\n        return 1", ["if True:"]),
        ("unguarded", "with f() as x:\n        return 1", []),
        ("handler", "try:\n        f()\n    except (A, B):\n        g()", ["except (A,):", "except (B,):"]),
        ("loop", "while a:\n        break", ["continue"]),
        ("variable", "return start + other", ["return end + other"]),
        ("reset", "self.x = 0", ["pass"]),
        ("reset", "x = 1\n    x = 2", ["pass"]),
    ],
)
def test_an_operator_changes_a_function(operator: str, body: str, expected: list[str]):
    """Each operator of statements and variables makes its mutants of a function."""
    source = f"async def f(start: int, end: int, other: str):\n    {body}\n"
    assert changed(source, operator) == expected


def test_a_cached_function_remembers_its_first_result():
    """The operator `cached` makes a function ignore its arguments after the first call."""
    source = "class C:\n    def double(self, x):\n        return 2 * x\n"
    (mutant,) = (each for each in mutants_of("some.module", source, FIELDS) if each.operator == "cached")
    names: dict[str, type] = {}
    exec(mutant.apply(source), names)  # noqa: S102 - the source is above
    assert [names["C"]().double(1), names["C"]().double(2)] == [2, 2]


def test_what_only_a_switched_bug_runs_is_not_mutated():
    """The reference worker's switchable bugs, types, decorators and messages have no mutants."""
    source = (
        "if has_bug('x'):\n    f(1)\n"
        "@cache(1)\ndef f(a: Literal[1]) -> Literal[2]:\n    'text'\n    raise BadError(a < 1)\n"
    )
    assert [mutant.operator for mutant in mutants_of("some.module", source, FIELDS)] == ["dropped"]


def test_every_mutant_is_python_and_has_its_own_name():
    """A name selects one mutant, and each mutant compiles and prints as a diff."""
    source = "def f(a, b):\n    return [x for x in a if x < 1 and x > 2 or not b][0:1]\n"
    mutants = mutants_of("some.module", source, FIELDS)
    assert len({mutant.name for mutant in mutants}) == len(mutants) > 10
    for mutant in mutants:
        compile(mutant.apply(source), mutant.name, "exec")
        assert "\n+" in mutant.diff(source)
    assert mutants == mutants_of("some.module", source, FIELDS)
