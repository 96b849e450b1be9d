"""STG-7: a disk that fills up, for real: a small one of its own in a mount namespace of its own."""

import os
import subprocess

import pytest
from support.worker import PAYLOAD, Target, Worker, events, real_mode

from harness.fakes.rpc.server import RpcPool

SCRIPT = 'mount -t tmpfs -o size="$SIZE" none "$TRACE_CRYO_STAGING_ROOT" && exec "$@"'

FILL = (
    "#!/bin/sh\nhead -c 70000000 /dev/zero > growing._tmp || { echo 'No space left on device'; exit 1; }\nsleep 1000\n"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
@pytest.mark.parametrize(("size", "started"), [("20m", False), ("80m", True), ("66m", True)])
def test_stg_7_a_full_disk_is_retryable_and_leaves_the_store_untouched(
    size: str, *, started: bool, file_target: Target, worker: Worker, pool: RpcPool
):
    """STG-7: too small to begin with, filling up while Cryo runs, and full to the last byte."""
    worker.staging.mkdir(mode=0o700)
    cryo = worker.folder / "filling-cryo"
    cryo.write_text(FILL)
    cryo.chmod(0o755)
    environment = worker.variables(file_target, real_mode(pool.url) | {"TRACE_CRYO_BIN": str(cryo)})
    command = worker.command(PAYLOAD, file_target)
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", *command],
        env=environment | {"SIZE": size},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 75, result.stderr
    assert events(result.stderr)[-1]["error"] == "DiskFull"
    assert ("cryo.started" in result.stderr) is started
    assert file_target.contents() == {}
