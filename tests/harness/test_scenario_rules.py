"""Invalid scenarios: the error comes when the file is read, and names the line and what to do."""

from pathlib import Path

import pytest
from support.scenarios import GOOD, refusal
from typer.testing import CliRunner

from harness.cli import app
from harness.scenario import BadScenario, find, folder, read

FILE = GOOD + "[[preloaded_files]]\npath = "
OBJECT = GOOD + "[[preloaded_objects]]\n"
TRIGGER = GOOD + "[[triggers]]\n"
SERVICE = GOOD + 'delivery = "worker"\n'

INVALID = [
    (GOOD + 'name = "../../evil"\n', "line 3: name"),
    (GOOD + 'name = "other"\n', "line 3: name: is not the name of the file"),
    (FILE + '"../../escape"\nunchanged = true\n', "line 4: preloaded_files.0.path: must be a rel"),
    (FILE + '"/etc"\nunchanged = true\n', "line 4: preloaded_files.0.path: must be a relative path"),
    (FILE + '"{taks}"\nunchanged = true\n', "line 4: preloaded_files.0.path: there is no placeholder '{taks}'"),
    (GOOD + 'preloaded_files = [\n {path = "a", type = "link", unchanged = true},\n {path = "a/b", unchanged = true}]',
     "line 5: preloaded_files.1.path: can't be below a"),
    (OBJECT + 'key = "{prefix}/../x"\n', "line 4: preloaded_objects.0.key"),
    (OBJECT + 'key = "{prefix}{chunk}"\nchunk = 2\n', "preloaded_objects.0.chunk: the first task has 2 chunks"),
    (
        GOOD + '[[store_faults]]\noperation = "get"\ndo = "keep-half"\n',
        "line 4: store_faults.0.operation: keep-half never applies to get",
    ),
    (OBJECT + 'key = "x"\ndataset = "block"\n', "line 5: preloaded_objects.0.dataset: there is no dataset 'block'"),
    (GOOD + '[[tasks]]\noutcome="fatal_error"\nset={range_end=0}\n[[preloaded_objects]]\nkey = "x"\n', "line 6"),
    (TRIGGER + 'event = "exit"\nmatch = "("\ndo = "SIGKILL"\n', "line 5: triggers.0.match: is not a regular exp"),
    (GOOD + '[[store_faults]]\noperation = "put"\nkey = "["\n', "line 5: store_faults.0.key: is not a regular exp"),
    (TRIGGER + 'event = "exit"\nworker = 1\ndo = "SIGKILL"\n', "line 5: triggers.0.worker: there are 1 workers"),
    (TRIGGER + 'event = "object_putt"\ndo = "SIGKILL"\n', "line 4: triggers.0.event: there is no event 'object_putt'"),
    (TRIGGER + 'event = "exit"\ndo = "take-lease"\n', "line 5: triggers.0.do: take-lease is impossible without a disp"),
    (TRIGGER + 'event = "exit"\ndo = "start-worker"\ntimes = 1\n', "line 3: triggers: start-worker starts"),
    (TRIGGER + 'event = "exit"\ndo = "start-worker"\n', "line 3: triggers.0.times: start-worker needs `times`"),
    (TRIGGER + 'event = "exit"\ndo = "start-wroker"\n', "(did you mean start-worker?)"),
    (GOOD + '[[dispatcher_faults]]\nkind = "claim"\ndo = "hang"\n', "line 3: dispatcher_faults.0: never applies"),
    (GOOD + "[platform]\nworkers = 2\n", "line 3: platform: has no effect without a dispatcher"),
    (SERVICE + 'store = "directory"\n', "line 4: store: a service can't publish"),
    (SERVICE + '[platform]\nuntil = "claims 1"\n', "line 5: platform.until: there is no event 'claims'"),
    (SERVICE + '[[tasks]]\nraw = "{"\noutcome = "fatal_error"\n', "line 5: tasks.0.raw: a dispatcher only sends JSON"),
    (SERVICE + '[[tasks]]\n[[tasks]]\nenvironment = { A = "1" }\n', "line 6: tasks.1.environment: in a service"),
    (GOOD + 'store = "directory"\n[[store_faults]]\noperation = "put"\n', "line 4: store_faults.0: never applies"),
    (GOOD + 'cryo_faults = [{ do = "nonsense" }]\n', "line 3: cryo_faults.0.do: there is no fault 'nonsense'"),
    (GOOD + 'cryo_faults = [\n  { do = "orphan" },\n  { do = "exit", cod = 1 }\n]\n', "line 5: cryo_faults.1: 'code'"),
    (GOOD + 'cryo_faults = [{ do = "fail_chunk", chunk = 2 }]\n', "line 3: cryo_faults.0.chunk: there are 2 chunks"),
    (GOOD + 'mode = "fake"\ncryo_faults = [{ do = "orphan" }]\n', "line 4: cryo_faults: only fake-cryo"),
    (GOOD + "[node]\nhead = 9\nquirks = { deposit = true }\n", "line 5: node.quirks.deposit: there is no quirk"),
    (GOOD + '[[rpc_faults]]\ndo = "statu"\n', "line 4: rpc_faults.0.do: there is no action 'statu': did you"),
    (GOOD + "[[rpc_faults]]\ntimes = 1\n", "line 3: rpc_faults.0.do: Field required: one of status, delay,"),
    (
        GOOD + '[[rpc_faults]]\ndo = "status"\ncode = 500\nbod = ""\n',
        "line 6: rpc_faults.0.bod: there is no field 'bod': did you mean body?; there are code, body,",
    ),
    (GOOD + '[[rpc_faults]]\ndo = "delay"\nseconds = nan\n', "line 5: rpc_faults.0.seconds: Input should be a finite"),
    (GOOD + '[[rpc_faults]]\ndo = "result"\nvalue = 1979-05-27\n', "line 5: rpc_faults.0.value: is not JSON"),
    (GOOD + "[node]\nhed = 9\n", "line 4: node.hed: there is no field 'hed': did you mean head?"),
    (GOOD + 'environment = { A = "{typo}" }\n', "line 3: environment.A: there is no placeholder '{typo}'"),
    (GOOD + 'environment = { "A=B" = "1" }\n', "line 3: environment.A=B"),
    (GOOD + "tasks = []\n", "line 3: tasks"),
    (GOOD + "[[tasks]]\nset = { rnge_end = 3 }\n", "line 4: tasks.0.set.rnge_end: there is no field of a payload"),
    (GOOD + "[[tasks]]\nadd = { range_end = 3 }\n", "line 4: tasks.0.add.range_end: is a field of every payload"),
    (GOOD + '[[tasks]]\nset = { cryo_dataset_name = "log" }\n', "line 4: tasks.0.set.cryo_dataset_name: Cryo has no"),
    (GOOD + '[[tasks]]\nset = { chain_id = "1" }\n', "line 4: tasks.0.set.chain_id: a task with such a chain_id"),
    (GOOD + "[[tasks]]\nset = { range_end = 400 }\n", "line 4: tasks.0.set.range_end: 500 to 400"),
    (GOOD + "[[tasks]]\nset = { range_end = 4_000_000_000 }\n", "line 4: tasks.0.set.range_end: the oracle"),
    (GOOD + "[[tasks]]\nset = { config_hash = 1979-05-27 }\n", "line 4: tasks.0.set: can't be written as JSON"),
    (GOOD + '[[tasks]]\nmessage_contains = ["x"]\n', "line 4: tasks.0.message_contains: rests on no clause of the"),
    (GOOD + "[[tasks]]\ncryo = false\n", "line 4: tasks.0.cryo: rests on no clause of the scenario: add one of PAY-2,"),
    (GOOD + "[[tasks]]\nruns = 2\n", "line 4: tasks.0.runs: rests on no clause"),
    (GOOD + "patience_seconds = " + "9" * 5000 + "\n", "mine.toml"),
    (GOOD + "environment = " + "[" * 100_000 + "\n", "mine.toml"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), INVALID, ids=map(str, range(len(INVALID))))
def test_a_scenario_that_breaks_a_rule_is_an_error(text: str, said: str, tmp_path: Path):
    """The error names the file, the line, the field and the problem."""
    assert said in refusal(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('cryo_faults = [\n { do = "orphan" }, # [\n\n { do = "x" }\n]\n', 6),
        ('cryo_faults = [\n { do = "orphan" },\n { do = "x" }]\n', 5),
        ('cryo_faults = [{ do = "x" }]\n', 3),
        ("node.quirks.x = true\n", 3),
        ('[ node ]\n"quirks" = { no_finalized_tag = true, x = true }\n', 4),
        ('[[tasks]]\n[tasks.environment]\nA = "1"\n[[tasks]]\n[tasks.environment]\nA = "{x}"\n', 8),
        ('[[tasks]]\nraw = """\n[[tasks]]\n"""\noutcome = "fatal_error"\nattempt = 0\n', 8),
        ('[[preloaded_objects]]\ncontent = "text"\n', 3),
    ],
)
def test_an_error_names_the_right_line(text: str, line: int, tmp_path: Path):
    """This holds for tables, inline tables, values on several lines and dotted keys."""
    said = refusal(GOOD + text, tmp_path)
    assert said.startswith(f"mine.toml, line {line}: ")
    assert "; " not in said.replace("; see", "")


def test_a_long_list_of_problems_is_truncated(tmp_path: Path):
    """The error lists the first problems, and the number of the others."""
    said = refusal(GOOD + "[[preloaded_files]]\n" * 100, tmp_path)
    assert said.endswith("and 190 more")
    assert len(said) < 1000


def test_two_files_with_the_same_name_are_an_error(tmp_path: Path):
    """Their saved histories would have the same name."""
    own = tmp_path / "straight-run.toml"
    own.write_text(GOOD)
    with pytest.raises(BadScenario, match="have the same name straight-run"):
        find(["straight-run", str(own)])


def test_a_scenario_named_twice_runs_once():
    """Its name, its file and its clause select the same scenario."""
    (first,) = find(["straight-run", str(folder() / "straight-run.toml")])
    both = find([first.name, first.clauses[0]])
    assert [scenario.name for scenario in both].count(first.name) == 1


def mutants(text: str) -> list[str]:
    """Return variants of a file: each line removed or duplicated, each value replaced."""
    lines = text.splitlines()
    found = []
    for at, line in enumerate(lines):
        found += ["\n".join([*lines[:at], *lines[at + 1 :]]), "\n".join([*lines[: at + 1], *lines[at:]])]
        key, equals, _ = line.partition("=")
        for value in ("0", "-1", '""', '"../x"', "[]", "{}", "nan", "1979-05-27", '["("]', "true", "9" * 30):
            if equals:
                found.append("\n".join([*lines[:at], f"{key}= {value}", *lines[at + 1 :]]))
    return found


@pytest.mark.parametrize("name", ["staging-sweep", "store-adopted", "zombie-service", "runaway", "unknown-field"])
def test_any_altered_file_is_valid_or_a_bad_scenario(name: str, tmp_path: Path):
    """Any file is read, or is an error that names it."""
    source = folder() / f"{name}.toml"
    path = tmp_path / source.name
    refused = 0
    for text in mutants(source.read_text(encoding="utf-8")):
        path.write_text(text)
        try:
            read(path)
        except BadScenario as error:
            refused += str(error).startswith(path.name)
    assert refused > 10


def test_a_bad_scenario_ends_a_run_with_64_before_anything_starts(tmp_path: Path):
    """The command prints the error in one line."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + "tasks = []\n")
    result = CliRunner().invoke(app, ["run", str(path), "--store", "http://127.0.0.1:9"])
    assert result.exit_code == 64
    assert result.output.startswith("cryo-harness: mine.toml, line 3: tasks")
