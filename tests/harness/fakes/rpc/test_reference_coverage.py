"""Which test covers which case of `real-cryo-0.3.2.md`, sections 0 (surprises) and 4 (exit codes and faults)."""

import ast
from pathlib import Path

HERE = Path(__file__).parent

SURPRISES = {
    1: (
        "test_short_receipts_drop_transactions_with_exit_0",
        "test_reordered_receipts_give_transactions_the_wrong_outcome",
    ),
    2: ("test_another_block_than_requested_is_accepted", "test_a_reorg_between_two_calls_is_not_detected"),
    3: ("test_an_empty_block_object_is_accepted",),
    4: ("test_logs_past_the_head_are_silently_missing_elsewhere", "test_logs_are_lost_or_kept_without_an_error"),
    5: ("test_logs_are_lost_or_kept_without_an_error", "test_logs_of_another_block_are_kept"),
    6: "none of the 25 range datasets calls a contract",
    7: ("test_a_pruned_node_gives_empty_diffs_with_exit_code_0",),
    8: ("test_a_wrong_chain_id_is_accepted",),
    9: ("test_receipts_without_a_status_are_failures",),
    10: ("test_options_that_are_not_modelled_are_errors",),
    11: ("test_one_bad_answer_fails_its_chunk_and_no_other",),
    12: ("test_a_hang_blocks_its_chunk_while_the_others_are_written",),
    13: "it takes all of a machine's memory: docs/fidelity.md",
    14: ("test_existing_files_are_skipped_without_being_read",),
    15: "several datasets in one run are not modelled, and refused by name",
    16: ("test_output_can_be_large_and_contain_the_url",),
    17: "of the wheel's interpreter, not of a node; `cryo-from-wheel` ends by os._exit",
    18: ("test_an_empty_result_is_a_file_without_row_groups",),
    19: "two processes in one directory: a race, no node's doing",
    20: ("test_fake_and_real_cryo_end_alike",),
}
"""By number in section 0: the tests that cover it, or the reason why none does."""

SECTION_4 = {
    "some chunks errored": ("test_one_bad_answer_fails_its_chunk_and_no_other",),
    "bad datasets, blocks and flags": ("test_fake_and_real_cryo_end_alike",),
    "unreachable": ("test_a_refused_connection_is_tried_four_times",),
    "chainId fault": ("test_without_a_chain_id_nothing_is_written",),
    "end > head: blocks, transactions": ("test_past_the_head_a_chunk_has_no_file",),
    "end > head: logs": (
        "test_logs_past_the_head_are_an_error_on_anvil",
        "test_logs_past_the_head_are_silently_missing_elsewhere",
    ),
    "open range on a stale head": ("test_a_stale_head_shortens_an_open_range",),
    "ENOSPC": ("test_a_full_disk_leaves_a_temporary_file_and_exit_1",),
    "SIGTERM": ("test_a_hang_blocks_its_chunk_while_the_others_are_written",),
    "HTTP errors, other errors, malformed, reset, null block, numbers, envelope": (
        "test_one_bad_answer_fails_its_chunk_and_no_other",
    ),
    "HTTP errors with a valid result, wrong id": ("test_some_malformed_responses_are_accepted",),
    "rate limits": (
        "test_rate_limits_in_the_envelope_are_retried",
        "test_a_chunk_fails_after_all_retries",
        "test_a_range_too_large_is_not_split",
    ),
    "null logs, null traces": ("test_null_logs_and_traces_fail_their_chunk",),
    "trace gas > u32": ("test_a_trace_with_gas_past_32_bits_panics_its_chunk",),
    "a panicked chunk is not in the report": ("test_a_chunk_that_panics_is_in_no_list_of_the_report",),
    "tx without v/r/s, gas, nonce, input, value; gasPrice > u64": (
        "test_a_transaction_that_cannot_be_parsed_fails_its_chunk",
    ),
    "missing from, gasPrice, chainId": ("test_a_transaction_without_these_is_accepted",),
    "types 0x3, 0x4, 0x7e, 0x1ff": ("test_a_transaction_of_any_type_is_accepted",),
    "eth_getBlockReceipts error / null / -32601": (
        "test_without_block_receipts_each_receipt_is_requested_by_hash",
        "test_a_node_without_block_receipts_works_with_the_fallback",
    ),
    "null receipt": ("test_a_missing_receipt_of_a_transaction_fails_the_chunk",),
}
"""By row of section 4's two tables."""


def names_in(path: Path) -> set[str]:
    """Return the names of a module's tests."""
    return {
        each.name
        for each in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    }


def test_every_case_of_the_reference_has_a_test_or_a_reason():
    """All twenty surprises and all rows of section 4 name existing tests, and every test is named."""
    cases = [*SURPRISES.values(), *SECTION_4.values()]
    named = {name for case in cases if not isinstance(case, str) for name in case}
    there = {name for path in HERE.parent.rglob("test_*.py") for name in names_in(path)}
    assert list(SURPRISES) == list(range(1, 21))
    assert named - there == set()
    own = names_in(HERE / "test_reference_faults.py") | names_in(HERE / "test_reference_nodes.py")
    assert own - named == set()
