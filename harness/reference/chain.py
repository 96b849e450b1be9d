"""The proof by the chain (RNG-4, levels `chain` and `receipts`): the files against what the node itself says.

Every block is asked for once, by number; what is compared is tied to the rows by hashes. A bloom only accuses: the
block's receipts, else its logs by its hash, decide.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from Crypto.Hash import keccak

from harness.reference.bugs import bug
from harness.reference.errors import FailedProof
from harness.reference.rpc import Endpoint, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.reference.log import Log
    from harness.reference.proof import File
    from harness.reference.task import Task

    Row = dict[str, Any]

AT_ONCE = 8
SAMPLES_PER_FILE = 8
TRANSFER = keccak.new(digest_bits=256, data=b"Transfer(address,address,uint256)").digest()
TOPICS = ("topic0", "topic1", "topic2", "topic3")
TRANSFER_TOPICS = {"erc20_transfers": 3, "erc721_transfers": 4}
NEED_GAS = ("traces", "geth_calls")
ALL_BLOCKS = ("transactions", "logs", *TRANSFER_TOPICS, *NEED_GAS)


def prove(task: Task, files: list[File], endpoint: Endpoint, level: str, log: Log) -> None:
    """Compare all files with the node.

    Raises:
        Retryable: they differ; the message gives the blocks.
    """
    if bug("believes-empty-answers"):
        return
    for file in files:
        _prove_file(task, file, endpoint, level, log)


def _prove_file(task: Task, file: File, endpoint: Endpoint, level: str, log: Log) -> None:
    dataset = task.cryo_dataset_name
    if dataset == "blocks":
        step = max(1, (file.chunk.last - file.chunk.first) // SAMPLES_PER_FILE)
        numbers = sorted({*range(file.chunk.first, file.chunk.last + 1, step), file.chunk.last})
    elif dataset in ALL_BLOCKS:
        numbers = list(range(file.chunk.first, file.chunk.last + 1))
    else:
        return
    rows = _by_block(file)

    def judge(number: int) -> tuple[int, str | None]:
        try:
            header = endpoint.call("eth_getBlockByNumber", hex(number), False)  # noqa: FBT003 - JSON-RPC's positions
            if header is None:
                return number, "the node does not have it"
            return number, _problem(dataset, header, rows[number], endpoint, level, log)
        except (RpcError, KeyError, TypeError, ValueError) as error:
            return number, f"the node's answer can't be used: {error}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [(number, problem) for number, problem in pool.map(judge, numbers) if problem]
    if found:
        told = "; ".join(f"block {number}: {problem}" for number, problem in found[:5])
        raise FailedProof(f"{dataset} differs from the chain in {len(found)} blocks: {told}")


def _by_block(file: File) -> dict[int, list[Row]]:
    rows: dict[int, list[Row]] = defaultdict(list)
    for row in file.table.to_pylist():
        rows[row["block_number"]].append(row)
    return rows


def _problem(dataset: str, header: Row, rows: list[Row], endpoint: Endpoint, level: str, log: Log) -> str | None:
    if dataset == "blocks":
        return None if rows and rows[0]["block_hash"] == _bytes(header["hash"]) else "another block hash"
    if dataset == "transactions":
        return _transactions_problem(header, rows, endpoint, level)
    if dataset in NEED_GAS:
        return "gas was used, but there are no rows" if int(header["gasUsed"], 16) and not rows else None
    return _logged_problem(dataset, header, rows, endpoint, level, log)


def _logged_problem(dataset: str, header: Row, rows: list[Row], endpoint: Endpoint, level: str, log: Log) -> str | None:
    hashes = [_bytes(item) for item in header["transactions"]]
    if any(_at(hashes, row["transaction_index"]) != row["transaction_hash"] for row in rows):
        return "a row's transaction is not at its index in the block"
    if dataset == "logs":
        return _logs_problem(header, rows, endpoint, level, log)
    if not rows and _in_bloom(TRANSFER, _bytes(header["logsBloom"])):
        wanted = [item for item in _logs_of(header, endpoint) if _is_transfer(item, TRANSFER_TOPICS[dataset])]
        return f"{len(wanted)} transfers are missing" if wanted else None
    return None


def _transactions_problem(header: Row, rows: list[Row], endpoint: Endpoint, level: str) -> str | None:
    rows = sorted(rows, key=lambda row: row["transaction_index"])
    if [row["transaction_hash"] for row in rows] != [_bytes(item) for item in header["transactions"]]:
        return f"{len(rows)} transactions, the block has {len(header['transactions'])}, or others"
    if level != "receipts":
        return None
    receipts = endpoint.call("eth_getBlockReceipts", header["number"])
    told = [(_bytes(item["transactionHash"]), int(item["gasUsed"], 16), item["status"] == "0x1") for item in receipts]
    have = [(row["transaction_hash"], row["gas_used"], row["success"]) for row in rows]
    return None if told == have else "gas used or success differ from the receipts"


def _logs_problem(header: Row, rows: list[Row], endpoint: Endpoint, level: str, log: Log) -> str | None:
    items = [item for row in rows for item in (row["address"], *(row[topic] for topic in TOPICS)) if item is not None]
    if level != "receipts" and _bloom(items) == _bytes(header["logsBloom"]):
        return None
    told = [_log_of(item) for item in _logs_of(header, endpoint)]
    have = [_row_of(row) for row in sorted(rows, key=lambda row: row["log_index"])]
    if sorted(told) != sorted(have):
        return f"{len(have)} logs, the node tells of {len(told)}, or others"
    log.write("proof.bloom_contradicted", block=header["number"])
    return None


def _logs_of(header: Row, endpoint: Endpoint) -> list[Row]:
    """Return a block's logs by its receipts, where the node has that method, else by its hash."""
    try:
        receipts = endpoint.call("eth_getBlockReceipts", header["number"])
        if {item["blockHash"] for item in receipts} <= {header["hash"]} and len(receipts) == len(
            header["transactions"]
        ):
            return [item for receipt in receipts for item in receipt["logs"]]
    except (RpcError, KeyError, TypeError):
        pass
    found: list[Row] = endpoint.call("eth_getLogs", {"blockHash": header["hash"]})
    return found


def _log_of(item: Row) -> tuple[bytes, ...]:
    topics = [_bytes(topic) for topic in item["topics"]]
    return (_bytes(item["transactionHash"]), _bytes(item["address"]), _bytes(item["data"]), *topics)


def _row_of(row: Row) -> tuple[bytes, ...]:
    topics = [row[topic] for topic in TOPICS if row[topic] is not None]
    return (row["transaction_hash"], row["address"], row["data"], *topics)


def _is_transfer(item: Row, topics: int) -> bool:
    # Cryo counts a Transfer by the number of its topics; that of ERC-20 has its value in the data.
    data_bytes = len(_bytes(item["data"]))
    return (
        len(item["topics"]) == topics
        and _bytes(item["topics"][0]) == TRANSFER
        and data_bytes == (32 if topics == TRANSFER_TOPICS["erc20_transfers"] else 0)
    )


def _at(hashes: list[bytes], index: int | None) -> bytes | None:
    return hashes[index] if index is not None and index < len(hashes) else None


def _bits(item: bytes) -> int:
    digest = keccak.new(digest_bits=256, data=item).digest()
    places = (int.from_bytes(digest[at : at + 2], "big") & 2047 for at in (0, 2, 4))
    return sum(1 << place for place in set(places))


def _bloom(items: Iterable[bytes]) -> bytes:
    bits = 0
    for item in set(items):
        bits |= _bits(item)
    return bits.to_bytes(256, "big")


def _in_bloom(item: bytes, bloom: bytes) -> bool:
    bits = _bits(item)
    return int.from_bytes(bloom, "big") & bits == bits


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
