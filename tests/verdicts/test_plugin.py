"""The pytest plugin in a foreign project that consists of one test file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PROJECT = '''
import json
import subprocess
import urllib.request

import pytest

TASK = {"dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e", "dataset_key": "mine", "chain_id": 31337,
        "cryo_dataset_name": "blocks", "rpc_pool": "local", "range_start": 0, "range_end": 20, "config_hash": "h"}


@pytest.mark.parametrize("turn", range(2))
def test_one_attempt(world, turn):
    """The worker runs with the servers of the plugin."""
    ended = subprocess.run(["cryo-ingest", "run", "-"], input=json.dumps(TASK), env=world.environment(),
                           capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert len(world.object_store.contents()) == 2


def test_the_node_has_the_chain(fake_rpc, chain):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
    request = urllib.request.Request(fake_rpc.url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert int(json.load(answer)["result"], 16) == chain.chain_id


def test_the_dispatcher_serves_a_task(dispatcher, object_store):
    task = dispatcher.dispatcher.add_task(TASK)
    assert dispatcher.dispatcher.task(task).outcome is None
    assert object_store.contents() == {}
'''


def helpers_of(folder: Path) -> list[str]:
    """Return the processes whose working directory is this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append((entry / "cmdline").read_bytes().decode().replace("\0", " "))
        except OSError:
            continue
    return found


def pytest_in(folder: Path, *words: str) -> tuple[int, str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    own = {name: value for name, value in environment.items() if not name.startswith(("PYTEST_", "COV_"))}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", str(folder / "tmp"), *words]
    ended = subprocess.run(command, cwd=folder, env=own, check=False, text=True, capture_output=True)
    return ended.returncode, ended.stdout + ended.stderr


def test_a_project_runs_twice_in_parallel_and_leaves_no_process(tmp_path: Path):
    """Fixtures and kit under `-n 2`: all tests pass both times, and no process is left."""
    (tmp_path / "test_mine.py").write_text(PROJECT)
    kit = ["--cryo-target", "reference", "--cryo-profile", "core", "-k", "test_mine or unknown-field or one-block"]
    for words in ([*kit], ["-k", "test_mine"]):
        code, said = pytest_in(tmp_path, "-n", "2", *words)
        assert code == 0, said
        assert re.search(r"\b(\d+) passed", said), said
        assert helpers_of(tmp_path) == []


def test_each_clause_of_a_scenario_is_a_test(tmp_path: Path):
    """Tests are named by scenario and clause, and can be selected with -k and with markers."""
    listed = ["--collect-only", "-q", "--cryo-target", "reference"]
    _, core = pytest_in(tmp_path, *listed, "-m", "cryo_core", "-k", "straight-run")
    assert "cryo/straight-run::LAY-1" in core
    assert "LAY-6" not in core
    _, one = pytest_in(tmp_path, *listed, "-k", "LAY-6 and straight-run")
    assert [line for line in one.splitlines() if "::" in line] == ["cryo/straight-run::LAY-6"]


def test_a_failure_shows_the_report_and_the_command_to_repeat_it(tmp_path: Path):
    """The report has the clause, what was expected and seen; the scenario's other clauses pass."""
    (tmp_path / "bad.toml").write_text(
        f"version = 1\ncommand = {[sys.executable, '-m', 'harness.reference']}\n"
        '[set]\nHARNESS_REFERENCE_BUG = "manifest-of-bare-names"\n'
    )
    code, said = pytest_in(tmp_path, "--cryo-target", "bad.toml", "-k", "straight-run and (LAY-3 or LAY-9)")
    assert code == 1, said
    assert "FAIL LAY-3" in said
    assert "cryo-harness run straight-run --target bad.toml" in said
    assert "1 failed, 1 passed" in said


def test_an_unknown_target_is_a_usage_error(tmp_path: Path):
    """The session ends with a usage error of one line."""
    code, said = pytest_in(tmp_path, "--cryo-target", "pigeon")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "no target 'pigeon'" in said


def test_nothing_is_imported_before_it_is_used(pytester: pytest.Pytester):
    """A suite that does not use the plugin has no cost from it."""
    pytester.makepyfile("import sys\n\ndef test_light():\n    assert 'pydantic' not in sys.modules\n"
                        "    assert not [name for name in sys.modules if name.startswith('harness.')\n"
                        "                and name != 'harness.plugin']\n")  # fmt: skip
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
