"""Evidence: what passed is read back as it was, from memory or from a file."""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_ingest.errors import MachineFailed
from cryo_ingest.ports import Call
from cryo_ingest.rpc.evidence import MEMORY_BYTES, BlockFields, Evidence, Records

BLOCKS = range(100, 130)


def open_files_below(folder: Path) -> list[str]:
    """Return the files of this process in a folder, also those without a name."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


@settings(max_examples=50, deadline=None)
@given(kept=st.lists(st.tuples(st.integers(90, 140), st.text(max_size=30)), max_size=60))
def test_a_later_record_replaces_an_earlier_one(kept: list[tuple[int, str]]):
    """An answer that was asked for again is what the proof reads; blocks outside the range are not kept."""
    with tempfile.TemporaryDirectory() as folder, closing(Records(BLOCKS, Path(folder))) as records:
        for number, text in kept:
            records.keep(number, text)
        expected = {number: text for number, text in kept if number in BLOCKS}
        for number in range(85, 145):
            record = records.read(number)
            assert (number in records) == (number in expected)
            assert (None if record is None else msgspec.msgpack.decode(record)) == expected.get(number)


def test_what_memory_has_no_room_for_goes_to_a_file_without_a_name(tmp_path: Path):
    """Memory does not grow with the range, and nothing is left in the staging directory."""
    size = MEMORY_BYTES // 10
    with closing(Records(BLOCKS, tmp_path)) as records:
        for number in BLOCKS[:9]:
            records.keep(number, bytes([number]) * size)
        assert open_files_below(tmp_path) == []
        for number in BLOCKS[9:]:
            records.keep(number, bytes([number]) * size)
        assert len(open_files_below(tmp_path)) == 1
        assert list(tmp_path.iterdir()) == []
        for number in BLOCKS:
            assert (records.read(number) or b"")[-size:] == bytes([number]) * size
    assert open_files_below(tmp_path) == []


def test_a_header_is_the_answer_of_a_node_without_the_other_fields(tmp_path: Path):
    """The proof reads evidence as it reads a node's answer."""
    header = BlockFields("0x64", "0xaa", "0xbb", "0x0", ["0x01"])
    with closing(Evidence.of_range(BLOCKS, tmp_path)) as evidence:
        evidence.headers.keep(100, header)
        assert evidence.header(100) == header
        assert evidence.header(101) is None
        expected = {"number": "0x64", "hash": "0xaa", "parentHash": "0xbb", "gasUsed": "0x0", "transactions": ["0x01"]}
        assert evidence.answer(Call("eth_getBlockByNumber", ("0x64", False))) == expected
        for other in (Call("eth_getBlockReceipts", ("0x64",)), Call("eth_chainId"), Call("eth_call", ("0x64",))):
            assert evidence.answer(other) is None


def test_out_4_a_full_disk_is_a_retryable_error(tmp_path: Path):
    """OUT-4: the attempt ends with it; it does not hang."""
    with closing(Records(BLOCKS, tmp_path)) as records, Path("/dev/full").open("r+b", buffering=0) as full:
        records._file.close()
        records._file = cast("Any", full)
        with pytest.raises(MachineFailed, match="No space left"):
            records.keep(BLOCKS[0], "header")
        assert BLOCKS[0] not in records
