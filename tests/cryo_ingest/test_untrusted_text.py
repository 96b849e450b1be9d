"""Any input from outside is parsed or raises one of the worker's errors; found examples are kept."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from support.worker import PAYLOAD

from cryo_ingest import layout
from cryo_ingest.audit.locations import BadReference, location_of, read_dataset_reference, read_reference
from cryo_ingest.audit.verify import manifest_problems
from cryo_ingest.datasets import find_dataset
from cryo_ingest.errors import BadPayload, ConfigurationError
from cryo_ingest.model import make_manifest, parse_manifest, parse_task, parse_task_text
from cryo_ingest.redact import Redactor
from cryo_ingest.rpc.replies import RequestFailed, check_status, parse_answers, retry_after
from cryo_ingest.rpc.results import Header, UnusableResult, parse_header, parse_logs, parse_receipts
from cryo_ingest.serve import responses
from cryo_ingest.serve.settings import service_from_environment

BOUNDED = bounded(max_examples=150, derandomize=True, deadline=None, database=None)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20)
)
"""Hypothesis generates no lone surrogates, which JSON can contain, so the examples have them."""

JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
LONE = "\ud800"
HASH = "0x" + "11" * 32


def changed(honest: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Generate variants of an object, with some fields replaced and some left out."""
    return st.tuples(
        st.dictionaries(st.sampled_from(sorted(honest)), JSON, max_size=3),
        st.sets(st.sampled_from(sorted(honest)), max_size=2),
    ).map(lambda drawn: {name: value for name, value in (dict(honest) | drawn[0]).items() if name not in drawn[1]})


@BOUNDED
@given(st.one_of(JSON, changed(PAYLOAD)))
@example(PAYLOAD | {"config_hash": LONE})
@example(PAYLOAD | {"dataset_key": LONE})
@example(PAYLOAD | {"rpc_pool": LONE, LONE: 1})
def test_pay_2_any_payload_is_a_task_with_a_location_or_a_bad_payload(payload: object):
    """PAY-2: an accepted payload has a version and a prefix, and can be logged; any other raises BadPayload."""
    with suppress(BadPayload):
        task = parse_task(payload)
        assert location_of(layout.prefix(task)) is not None
        task.model_dump_json().encode()
        find_dataset(task.cryo_dataset_name)


@BOUNDED
@given(st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
@example(b"[" * 100_000)
@example(b"9" * 5000)
@example(b"\xff\xfe{")
@example(b'{"config_hash": NaN}')
def test_pay_2_any_text_is_json_or_a_bad_payload(text: bytes):
    """PAY-2: no text raises another error."""
    with suppress(BadPayload):
        parse_task_text(text)


@BOUNDED
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("TRACE_CRYO_MODE", "TRACE_CRYO_STAGING_ROOT", "TRACE_CRYO_STAGING_TTL_HOURS", "TRACE_COVERAGE"),
                *("MAX_PARQUET_FILES_PER_RANGE", "S3_ENDPOINT", "DISPATCHER_URL", "TASK_WAKEUP_QUEUE", "S3_BUCKET"),
                *("TRACE_WORKER_TOKEN", "TRACE_HEALTH_ADDR", "TRACE_CRYO_RPC_URL", "TRACE_CRYO_DEADLINE_SECONDS"),
            ]
        ),
        st.one_of(
            st.text(max_size=20), st.sampled_from(["http://[::1", "http://h:99999", "1e999", "٣", LONE, "h:0x1"])
        ),
    )
)
def test_any_environment_is_settings_or_a_configuration_error(environment: dict[str, str]):
    """Exit code 78: any values are accepted or raise ConfigurationError, and a redactor accepts any secrets."""
    with suppress(ConfigurationError):
        settings, _ = service_from_environment(environment)
        Redactor(settings.secrets())("text")
    Redactor(environment.values())("text")


MANIFEST = json.loads(
    make_manifest(dataset_uuid="u", dataset_version="v", parquet_keys=["cryo/a.parquet", "cryo/b.parquet"]).to_bytes()
)


@BOUNDED
@given(
    st.one_of(st.binary(max_size=60), st.one_of(JSON, changed(MANIFEST)).map(lambda value: json.dumps(value).encode()))
)
@example(json.dumps(MANIFEST | {"parquet_keys": [LONE]}).encode())
@example(b"[" * 100_000)
def test_lay_4_any_bytes_are_a_manifest_or_none(content: bytes):
    """LAY-4: no content raises an error, and `verify` finds a problem in each."""
    location = location_of(layout.prefix(parse_task(PAYLOAD)))
    assert location is not None
    assert manifest_problems(content, parse_manifest(content), location=location)


@BOUNDED
@given(st.text(max_size=60), JSON)
@example(LONE, {"storage_ref": {"scheme": "s3", "bucket": LONE, "prefix": "cryo/1/"}})
def test_any_reference_is_a_location_or_rejected(text: str, value: object):
    """Exit code 64: a reference is a URL or a publication, or raises BadReference."""
    for reference in (text, f"s3://b/cryo/{text}", json.dumps(value)):
        for read in (read_reference, read_dataset_reference):
            with suppress(BadReference):
                read(reference)


CLAIM = {
    "task_id": "t",
    "attempt": 1,
    "lease_token": "l",
    "lease_expires_at": "2026-01-01T00:00:00Z",
    "capability_token": "c",
    "work_payload": {},
}
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@BOUNDED
@given(
    st.one_of(st.binary(max_size=40), st.one_of(JSON, changed(CLAIM)).map(lambda value: json.dumps(value).encode())),
    st.one_of(st.just(DATE), st.text(max_size=30)),
)
@example(json.dumps(CLAIM).encode(), "Thu, 99999999999999999999 Jan 2026 00:00:00 GMT")
@example(json.dumps(CLAIM).encode(), "Thu, 01 Jan 2026 00:00:00 +999999999999")
@example(json.dumps(CLAIM | {"lease_expires_at": "0001-01-01T00:00:00+23:59"}).encode(), DATE)
@example(json.dumps(CLAIM | {"lease_expires_at": "9999-12-31T23:59:59-23:59"}).encode(), DATE)
@example(json.dumps(CLAIM | {"lease_expires_at": 1e300}).encode(), DATE)
def test_lse_1_any_response_of_a_dispatcher_is_a_claim_or_invalid(body: bytes, date: str):
    """LSE-1, LSE-5: this holds for any body and any `Date` with status 200."""
    with suppress(responses.InvalidResponse):
        responses.parse_claim(body, {"Date": date}, task_id="t", sent_at=0.0)
    with suppress(responses.InvalidResponse):
        responses.parse_renewal(body, {"Date": date}, sent_at=0.0)


HEADER = {
    "number": "0x5",
    "hash": HASH,
    "parentHash": HASH,
    "transactions": [HASH],
    "gasUsed": "0x0",
    "logsBloom": "0x" + "00" * 256,
    "timestamp": "0x1",
    "baseFeePerGas": "0x1",
    "miner": "0x" + "22" * 20,
    "extraData": "0x",
}
LOG = {
    "blockHash": HASH,
    "transactionIndex": "0x0",
    "logIndex": "0x0",
    "transactionHash": HASH,
    "address": "0x" + "22" * 20,
    "topics": [HASH],
    "data": "0x",
}
RECEIPT = {
    "blockHash": HASH,
    "transactionHash": HASH,
    "transactionIndex": "0x0",
    "gasUsed": "0x1",
    "status": "0x1",
    "logs": [LOG],
}
TRUE_HEADER: Header = parse_header(HEADER, 5)
READS: list[Callable[[Any], object]] = [
    lambda answer: parse_header(answer, 5),
    lambda answer: parse_logs(answer, TRUE_HEADER),
    lambda answer: parse_receipts(answer, TRUE_HEADER),
]


@BOUNDED
@given(
    st.one_of(
        JSON, changed(HEADER), changed(LOG).map(lambda log: [log]), changed(RECEIPT).map(lambda receipt: [receipt])
    )
)
@example(HEADER | {"transactions": [LONE]})
@example([RECEIPT | {"logs": [LOG | {"data": "0x" + LONE}]}])
@example(HEADER | {"gasUsed": "0x" + "f" * 100_000})
def test_rng_4_any_answer_of_a_node_is_parsed_or_unusable(answer: Any):
    """RNG-4: this holds for blocks, logs and receipts."""
    for read in READS:
        with suppress(UnusableResult):
            read(answer)


@BOUNDED
@given(st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())), st.text(max_size=12))
@example(b'[{"id": 0, "error": {"code": 1e400, "message": ["x"]}}]', "9" * 12)
def test_rng_5_any_response_of_a_node_is_answers_or_a_failed_request(content: bytes, header: str):
    """RNG-5: this holds for any body, `Retry-After` and `Date`."""
    for indices in ([0], [0, 1]):
        with suppress(RequestFailed):
            parse_answers(content, indices)
    for headers in ({"Retry-After": header}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": header}):
        seconds = retry_after(headers, 0.0)
        assert seconds is None or 0 <= seconds <= 300
        with pytest.raises(RequestFailed):
            check_status(429, content, retry_after_seconds=seconds, indices=[0])
