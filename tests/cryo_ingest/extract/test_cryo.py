"""The extractor, with a shell script as Cryo: RNG-1, RNG-3, MOD-3, OUT-2 to OUT-5, CAP-5, STG-5, STG-7, SEC."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from cryo_ingest import from_wheel, layout
from cryo_ingest.clock import SystemClock
from cryo_ingest.errors import (
    CapExceeded,
    CryoFailed,
    CryoNotRunnable,
    CryoRejectedArguments,
    CryoWroteNothing,
    DeadlineExceeded,
    DiskFull,
    IngestError,
    ProofFailed,
)
from cryo_ingest.extract.cryo import CryoExtractor, executable_sha256
from cryo_ingest.model import Task
from cryo_ingest.ports import Extraction, ExtractionRequest, FileProof, ProveFile
from cryo_ingest.redact import Redactor
from cryo_ingest.settings import Caps, Settings

SECRET_URL = "http://us3r:p4ssw0rd@127.0.0.1:1/k3y-in-path"
TASK = Task.model_construct(
    cryo_dataset_name="blocks", chain_id=5, range_start=0, range_end=2500, dataset_uuid="u", config_hash="h"
)
CHUNKS = layout.chunks(TASK)
A, B, C = (chunk.name for chunk in CHUNKS)
GOOD_RUN = f"for name in {A} {B} {C}; do [ -e $name ] || echo complete > $name; done"


class QuickClock(SystemClock):
    """A clock on which every wait takes at most 10 ms."""

    async def sleep(self, seconds: float) -> None:
        """Wait at most 10 ms."""
        await asyncio.sleep(min(seconds, 0.01))


class LeapingClock(QuickClock):
    """A clock on which half a minute passes between two readings."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return a time half a minute later."""
        self.now += 30
        return self.now


async def prove(path: Path, chunk: layout.Chunk) -> FileProof:
    """Accept a file that contains `complete`."""
    content = path.read_text()
    if content != "complete\n":
        raise ProofFailed(file=chunk.name, evidence=f"it contains {content!r}")
    return FileProof("digest", len(content), 1, chunk.start, chunk.end - 1, fake=False)


class Bench:
    """A staging directory, a shell script as Cryo, and one extraction."""

    def __init__(self, folder: Path) -> None:
        self.directory = folder / "staging"
        self.directory.mkdir()
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.cryo = folder / "cryo"
        self.settings = Settings(mode="real", cryo_bin=str(self.cryo))
        self.clock: SystemClock = QuickClock()
        self.prove: ProveFile = prove
        self.request = ExtractionRequest(TASK, CHUNKS, self.directory, (), SECRET_URL)

    def extract(self, script: str, **settings: object) -> Extraction:
        """Run the script as Cryo; `$NOTES` is a directory for its notes, `$RUN` the number of the run."""
        counting = f"NOTES={self.notes}\necho x >> $NOTES/runs\nRUN=$(wc -l < $NOTES/runs)\necho $$ > $NOTES/pid\n"
        self.cryo.write_text(f"#!/bin/sh\n{counting}{script}\n")
        self.cryo.chmod(0o755)
        return self.extract_without_script(**settings)

    def extract_without_script(self, **settings: object) -> Extraction:
        """Run the executable of `TRACE_CRYO_BIN`."""
        extractor = CryoExtractor(
            replace(self.settings, **settings),  # type: ignore[arg-type]
            self.clock,
            Redactor([SECRET_URL]),
        )
        return asyncio.run(extractor.extract(self.request, prove=self.prove))

    @property
    def runs(self) -> int:
        """The number of times the script was started."""
        return len((self.notes / "runs").read_text().splitlines())

    def note(self, name: str) -> str:
        """Return a file that the script wrote in `$NOTES`."""
        return (self.notes / name).read_text()

    def group_is_gone(self) -> bool:
        """Return whether no live process is left in the last Cryo's group."""
        listed = subprocess.run(
            ["ps", "-o", "stat=", "-g", self.note("pid").strip()], capture_output=True, text=True, check=False
        )
        return all(state.startswith("Z") for state in listed.stdout.split())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh bench."""
    return Bench(tmp_path)


def test_rng_1_the_dataset_comes_first_then_the_payloads_range(bench: Bench):
    """RNG-1, RNG-3, LAY-9: dataset, `--blocks start:end` with the exclusive end, and Cryo's network name."""
    bench.extract('printf "%s\\n" "$@" > $NOTES/arguments\n' + GOOD_RUN, requests_per_second=7, gateway=False)
    arguments = bench.note("arguments").split()
    assert arguments[:3] == ["blocks", "--blocks", "0:2500"]
    assert arguments[arguments.index("--network-name") + 1] == "goerli"
    assert arguments[arguments.index("--requests-per-second") + 1] == "7"
    assert "--chunk-size" not in arguments


def test_rpc_2_the_gateway_keeps_the_limits_and_cryo_feeds_it(bench: Bench):
    """RPC-2: Cryo's own limits would only slow the gateway down."""
    bench.extract('printf "%s\\n" "$@" > $NOTES/arguments\n' + GOOD_RUN, requests_per_second=7)
    arguments = bench.note("arguments").split()
    assert int(arguments[arguments.index("--max-concurrent-requests") + 1]) > 100
    assert "--requests-per-second" not in arguments
    assert "--inner-request-size" not in arguments


def test_sec_2_the_url_is_only_in_the_environment_which_is_minimal(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """SEC-2: Cryo gets `ETH_RPC_URL`, but no `MESC_*`, proxies or keys, and no URL in its arguments."""
    for name in ("MESC_PATH", "http_proxy", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY", "TRACE_CRYO_RPC_URL"):
        monkeypatch.setenv(name, "surprise")
    bench.extract('env > $NOTES/environment; echo "$@" > $NOTES/arguments\n' + GOOD_RUN)
    environment = bench.note("environment")
    assert f"ETH_RPC_URL={SECRET_URL}" in environment
    assert "surprise" not in environment
    assert "k3y" not in bench.note("arguments")


def test_out_5_missing_chunks_are_extracted_again_and_proved_files_are_kept(bench: Bench):
    """OUT-5: the second run finds only the proved file; the broken one and the leftovers are deleted."""
    extraction = bench.extract(
        f"if [ $RUN = 1 ]; then echo complete > {A}; echo broken > {B}; echo x > left._tmp; mkdir -p .cryo/reports\n"
        f"exit 1; else ls -A > $NOTES/found; {GOOD_RUN}; fi"
    )
    assert bench.note("found").split() == [A]
    assert extraction.runs == 2
    assert [file.chunk.name for file in extraction.files] == [A, B, C]


def test_out_5_three_runs_in_a_row_without_progress_end_the_attempt(bench: Bench):
    """OUT-5, OUT-2: a run that adds a chunk resets the count; three that add none are a retryable failure."""
    with pytest.raises(CryoFailed, match=r"exit code 1 with 1 of 3 chunks of blocks 0:2500") as caught:
        bench.extract(f"echo trouble $RUN; [ $RUN = 2 ] && echo complete > {A}; exit 1")
    assert bench.runs == 5
    assert "trouble 5" in str(caught.value)
    assert caught.value.outcome == "retryable_error"
    assert len(list(bench.directory.iterdir())) == 1


def test_out_2_a_complete_range_with_a_non_zero_exit_is_not_a_success(bench: Bench):
    """OUT-2: the last run must exit with 0; Cryo skips existing files, so another run is cheap."""
    assert bench.extract(f"{GOOD_RUN}; [ $RUN = 2 ]").runs == 2


def test_rng_4_a_file_that_always_fails_its_proof_is_a_failed_proof(bench: Bench):
    """RNG-4, OUT-4: three runs with exit code 0 and an incomplete file raise the retryable ProofFailed."""
    with pytest.raises(ProofFailed, match="broken"):
        bench.extract(f"{GOOD_RUN}; echo broken > {B}")
    assert bench.runs == 4  # the first run added two files


def test_rng_2_an_unexpected_file_is_never_accepted(bench: Bench):
    """RNG-2: with an unexpected Parquet file, in any directory, the range is not complete."""
    with pytest.raises(CryoFailed, match=r"do not belong to the range \(stray\.parquet\)"):
        bench.extract(f"{GOOD_RUN}; mkdir -p sub; echo complete > sub/stray.parquet")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo 'unexpected argument'; exit 2", CryoRejectedArguments),
        ("exit 0", CryoWroteNothing),
        ("echo x > report.json; exit 0", CryoWroteNothing),
    ],
)
def test_out_2_exit_2_and_exit_0_without_files_are_fatal_at_once(bench: Bench, script: str, error: type[IngestError]):
    """OUT-2: neither is retried."""
    with pytest.raises(error) as caught:
        bench.extract(script)
    assert bench.runs == 1
    assert caught.value.outcome == "fatal_error"


@pytest.mark.parametrize("ending", ["exit 1", "exit 101", "kill -KILL $$", "kill -SEGV $$"])
def test_out_2_any_other_end_is_retryable(bench: Bench, ending: str):
    """OUT-2: other exit codes and signals are retryable, also exit code 1 without a file."""
    with pytest.raises(CryoFailed) as caught:
        bench.extract(ending)
    assert caught.value.outcome == "retryable_error"


@pytest.mark.parametrize("kind", ["missing", "not executable", "a directory", "no interpreter"])
def test_mod_3_a_binary_that_cannot_run_is_fatal(bench: Bench, kind: str):
    """MOD-3: it is missing, not executable, or the kernel can't execute it."""
    if kind == "a directory":
        bench.cryo.mkdir()
    elif kind != "missing":
        bench.cryo.write_bytes(b"#!/no/such/interpreter\n")
        bench.cryo.chmod(0o755 if kind == "no interpreter" else 0o644)
    with pytest.raises(CryoNotRunnable, match="TRACE_CRYO_BIN"):
        bench.extract_without_script()


def test_out_4_a_staging_directory_deleted_during_a_run_does_not_blame_the_binary(bench: Bench):
    """OUT-4: the system's error is raised, and `run_attempt` turns it into the retryable MachineFailed."""
    with pytest.raises(FileNotFoundError):
        bench.extract(f"rm -rf {bench.directory}; sleep 1000")
    assert bench.group_is_gone()


def test_out_4_a_staging_directory_deleted_before_a_run_does_not_blame_the_binary(bench: Bench):
    """OUT-4: the same holds if the process could not be started."""
    bench.directory.rmdir()
    with pytest.raises(FileNotFoundError):
        bench.extract(GOOD_RUN)


def test_out_3_at_the_deadline_the_process_group_is_killed(bench: Bench):
    """OUT-3: a Cryo that hangs, ignores SIGTERM and has children is killed; the message says what was finished."""
    with pytest.raises(DeadlineExceeded, match=r"1 of 3 chunks.*1000 blocks were finished in time") as caught:
        bench.extract(
            f"trap '' TERM; echo complete > {A}; sleep 1000 & while :; do sleep 1000; done", deadline_seconds=0.7
        )
    assert caught.value.outcome == "retryable_error"
    assert bench.group_is_gone()


def test_out_3_children_that_cryo_leaves_are_killed(bench: Bench):
    """OUT-3: no process of the attempt is left, even if it has Cryo's output open."""
    bench.extract(f"{GOOD_RUN}; sleep 1000 & exit 0")
    assert bench.group_is_gone()


def test_lse_3_cancelling_the_attempt_ends_cryo(bench: Bench):
    """LSE-3: when the cancellation is raised, Cryo has ended."""

    async def cancel_when_started() -> None:
        extractor = CryoExtractor(bench.settings, QuickClock(), Redactor([]))
        extracting = asyncio.ensure_future(extractor.extract(bench.request, prove=prove))
        while not (bench.notes / "started").exists():
            await asyncio.sleep(0.01)
        extracting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await extracting

    bench.cryo.write_text(f"#!/bin/sh\necho $$ > {bench.notes}/pid\ntouch {bench.notes}/started\nsleep 1000\n")
    bench.cryo.chmod(0o755)
    asyncio.run(cancel_when_started())
    assert bench.group_is_gone()


@pytest.mark.parametrize(
    ("caps", "variable"),
    [
        (Caps(max_files=2), "MAX_PARQUET_FILES_PER_RANGE"),
        (Caps(max_bytes_per_file=100_000), "MAX_PARQUET_BYTES_PER_FILE"),
        (Caps(max_total_bytes=150_000), "MAX_TOTAL_PARQUET_BYTES_PER_RANGE"),
    ],
)
def test_cap_5_cryo_is_stopped_as_soon_as_it_exceeds_a_cap(bench: Bench, caps: Caps, variable: str):
    """CAP-5: any exceeded cap stops the running Cryo."""
    grow = "for n in 1 2 3; do head -c 120000 /dev/zero > $n.parquet; done; while :; do sleep 1000; done"
    with pytest.raises(CapExceeded) as caught:
        bench.extract(grow, caps=caps)
    assert caught.value.variable == variable
    assert bench.group_is_gone()


def test_stg_7_a_full_disk_is_distinguished_from_other_failures(bench: Bench):
    """STG-7: Cryo's message about a full disk ends the attempt at once with a retryable error."""
    with pytest.raises(DiskFull):
        bench.extract("echo 'IO error: No space left on device (os error 28)'; exit 1")
    assert bench.runs == 1


def test_sec_1_cryos_last_lines_are_redacted_and_bounded(bench: Bench):
    """SEC-1: the message contains neither the URL that Cryo prints nor a flood of output."""
    flood = "head -c 3000000 /dev/zero | tr '\\0' y; echo; i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done"
    with pytest.raises(CryoFailed) as caught:
        bench.extract(f"{flood}; echo rpc url: $ETH_RPC_URL; echo key k3y-in-path >&2; exit 1")
    message = str(caught.value)
    assert "line 499" in message
    assert "line 480" not in message
    assert "k3y" not in message
    assert "p4ssw0rd" not in message
    assert len(message) < 8000


def test_progress_is_logged_every_half_minute(bench: Bench):
    """The event has the finished chunks, the bytes and an estimate of the remaining time."""
    bench.clock = LeapingClock()
    with structlog.testing.capture_logs() as logged:
        bench.extract(f"echo complete > {A}; sleep 0.2; {GOOD_RUN}")
    progress = [event for event in logged if event["event"] == "cryo.progress"]
    assert progress[-1]["chunks_done"] >= 1
    assert progress[-1]["chunks"] == 3
    assert progress[-1]["bytes"] >= 6
    assert progress[-1]["estimated_remaining_seconds"] is not None


def test_rng_4_a_file_that_changes_after_its_proof_is_proved_again(bench: Bench):
    """RNG-4: here a file is overwritten after it was proved, so it is extracted again."""
    overwrite = f"while [ ! -e $NOTES/proved ]; do sleep 0.01; done; echo broken > {A}"

    async def prove_and_note(path: Path, chunk: layout.Chunk) -> FileProof:
        proof = await prove(path, chunk)
        (bench.notes / "proved").touch()
        return proof

    bench.prove = prove_and_note
    extraction = bench.extract(f"{GOOD_RUN}; [ $RUN = 1 ] && {{ {overwrite}; }}; exit 0")
    assert extraction.runs == 2
    assert all(file.path.read_text() == "complete\n" for file in extraction.files)


def test_hint_block_0_of_a_debug_dataset_suggests_block_1(bench: Bench):
    """Nodes reject tracing the genesis block; the message names the reason and the remedy."""
    task = TASK.model_copy(update={"cryo_dataset_name": "geth_calls"})
    bench.request = replace(bench.request, task=task, chunks=layout.chunks(task))
    with pytest.raises(CryoFailed, match=r"start the range at block 1\. Cryo's last lines: genesis") as caught:
        bench.extract("echo genesis is not traceable; exit 1")
    assert ".." not in str(caught.value)


def test_the_first_errors_of_cryo_come_before_its_last_lines(bench: Bench):
    """Cryo ends with a dozen lines of statistics, which must not push out why it failed."""
    error = "Deserialization Error: expected value at line 1 column 1. Response: <html>busy</html>"
    with pytest.raises(CryoFailed) as caught:
        bench.extract(f"echo '{error}'; for n in $(seq 30); do echo statistic $n; done; exit 1")
    message = str(caught.value)
    assert f"Cryo's last lines: {error} | statistic 19 | " in message
    assert message.endswith("statistic 30")
    assert "A node answered with something else than JSON" in message


def test_stg_5_cryo_dies_with_its_worker_even_on_sigkill(bench: Bench):
    """STG-5: the kernel kills Cryo when its worker is killed."""
    bench.cryo.write_text(f"#!/bin/sh\necho $$ > {bench.notes}/pid.part; mv {bench.notes}/pid.part {bench.notes}/pid\n"
                          "exec sleep 1000\n")  # fmt: skip
    bench.cryo.chmod(0o755)
    program = (
        "import asyncio, sys, pathlib\n"
        "from cryo_ingest.extract.command import kill_with_parent\n"
        "from cryo_ingest.extract.process import run_process\n"
        "command = [*kill_with_parent(), sys.argv[1]]\n"
        "asyncio.run(run_process(command, directory=pathlib.Path('.'), environment={'PATH': '/usr/bin:/bin'},"
        " descriptors=(), redact=str))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(bench.cryo)]) as worker:
        wait_for((bench.notes / "pid").exists)
        cryo = os.pidfd_open(int(bench.note("pid")))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with os.fdopen(cryo):
        asyncio.run(_readable(cryo))


async def _readable(descriptor: int) -> None:
    """Wait until a descriptor is readable; a pidfd is when its process has ended."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    async with asyncio.timeout(10):
        await ended.wait()
    asyncio.get_running_loop().remove_reader(descriptor)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after ten seconds."""

    async def poll() -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    asyncio.run(poll())


@pytest.mark.real_cryo
def test_lay_8_a_link_to_cryo_from_wheel_has_the_digest_of_the_binary_that_runs(tmp_path: Path):
    """LAY-8: the recorded SHA-256 is that of Cryo inside the wheel, even through a link."""
    (tmp_path / "cryo").symlink_to(Path(sys.executable).parent / "cryo-from-wheel")
    genuine = from_wheel.genuine_binary()
    assert genuine is not None
    assert executable_sha256(tmp_path / "cryo") == hashlib.sha256(genuine.read_bytes()).hexdigest()
