"""Measure the anonymous memory for proving and uploading files of several sizes: `python benchmarks/memory.py`.

For each size one process makes a file of the logs dataset. Another process proves it, uploads it to MinIO in a
container (needs Docker), and prints the peak of its anonymous memory (RssAnon, sampled by a thread).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROWS = (100_000, 1_000_000, 4_000_000)
BYTES_A_ROW = 100


def make(path: Path, rows: int) -> None:
    """Write a file of the logs dataset with `rows` rows in a thousand blocks."""
    import pyarrow as pa  # noqa: PLC0415 - only in the child process
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    from cryo_ingest.datasets import all_datasets  # noqa: PLC0415 - as above

    columns = all_datasets()["logs"].columns
    schema = pa.schema([(name, pa.type_for_alias(arrow)) for name, arrow in columns])
    values = {
        "block_number": pa.array((row * 1000 // rows for row in range(rows)), pa.uint32()),
        "chain_id": pa.repeat(pa.scalar(1, pa.uint64()), rows),
        "data": pa.array((os.urandom(BYTES_A_ROW) for _ in range(rows)), pa.large_binary()),
    }
    arrays = [values.get(name, pa.nulls(rows, schema.field(name).type)) for name, _ in columns]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, row_group_size=rows, compression="lz4")


def anonymous_kib() -> int:
    """Return the anonymous memory of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def prove_and_upload(path: Path, bucket: str) -> None:
    """Prove and upload a file, and print its size and the peak of this process's memory."""
    from cryo_ingest.datasets import all_datasets  # noqa: PLC0415 - only in the measured process
    from cryo_ingest.layout import Chunk  # noqa: PLC0415 - as above
    from cryo_ingest.model import Task  # noqa: PLC0415 - as above
    from cryo_ingest.prove.rows import RowsProver  # noqa: PLC0415 - as above
    from cryo_ingest.publish.stores import open_store  # noqa: PLC0415 - as above
    from cryo_ingest.settings import from_environment  # noqa: PLC0415 - as above

    peak, done = [0], threading.Event()

    def sample() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous_kib())

    task = Task.model_construct(chain_id=1, cryo_dataset_name="logs")
    prover = RowsProver(task, all_datasets()["logs"], executable="none")
    store = open_store(f"s3://{bucket}", from_environment(os.environ).s3)

    async def work() -> None:
        await prover.prove_rows(path, Chunk(0, 1000, path.name))
        await store.create(path.name, path, metadata={})

    sampler = threading.Thread(target=sample)
    sampler.start()
    asyncio.run(work())
    done.set()
    sampler.join()
    print(f"| {path.stat().st_size / 1024**2:.0f} | {peak[0] / 1024:.0f} |")


def main() -> None:
    """Measure each size against one MinIO."""
    from harness.stores.minio import minio_server  # noqa: PLC0415 - only in the parent

    print("| file MiB | peak anonymous MiB |\n|---|---|", flush=True)
    with minio_server() as endpoint, tempfile.TemporaryDirectory() as folder:
        bucket = endpoint.make_bucket()
        for rows in ROWS:
            path = Path(folder) / f"{rows}.parquet"
            for action in ("make", "prove"):
                words = [sys.executable, __file__, action, str(path), str(rows), bucket.name]
                subprocess.run(words, check=True, env=os.environ | bucket.environment())


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "make":
        make(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        prove_and_upload(Path(sys.argv[2]), sys.argv[4])
