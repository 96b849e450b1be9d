"""The end of each command's help: an example, and the variables that matter most."""

REAL = "TRACE_CRYO_MODE=real, TRACE_CRYO_BIN (cryo-from-wheel), TRACE_RPC_POOL_<POOL>_URL"
STORE = "S3_BUCKET, S3_ENDPOINT, AWS_REGION and the AWS keys"

RUN = f"Example: cryo-ingest run task.json --store file:///data. Variables: {REAL}; for S3 {STORE}."
WORKER = (
    "Example: cryo-ingest worker. Variables: DISPATCHER_URL, TRACE_WORKER_TOKEN, TASK_WAKEUP_QUEUE, "
    f"TRACE_HEALTH_ADDR, {REAL}; {STORE}."
)
VERIFY = (
    "Example: cryo-ingest run task.json --store file:///data | cryo-ingest verify -. Variables: for S3 "
    f"{STORE}; for --against TRACE_RPC_POOL_<POOL>_URL."
)
GAPS = (
    "Example: cryo-ingest gaps s3://bucket/cryo/1/DATASET_UUID/ --from 0 --to 20000000 --like task.json > tasks.jsonl. "
    f"Variables: for S3 {STORE}."
)
CATALOG = f"Example: cryo-ingest catalog file:///data --sql duckdb. Variables: for S3 {STORE}."
GATEWAY = (
    "Example: cryo-ingest gateway --pool mainnet. Variables: TRACE_RPC_POOL_MAINNET_URL, "
    "TRACE_CRYO_REQUESTS_PER_SECOND, TRACE_CRYO_MAX_CONCURRENT_REQUESTS."
)
JOBS = {
    "plan": f"Example: cryo-ingest plan job.yaml --store file:///data. Variables: TRACE_ORG_ID; for S3 {STORE}.",
    "sync": f"Example: cryo-ingest sync job.yaml --store file:///data. Variables: {REAL}; TRACE_WORKER_CONCURRENCY; "
    f"for S3 {STORE}.",
    "status": "Example: cryo-ingest status job.yaml --store file:///data --watch. Variables: TRACE_ORG_ID, S3_BUCKET.",
    "pause": "Example: cryo-ingest pause job.yaml --store file:///data. Variables: TRACE_ORG_ID, S3_BUCKET.",
    "resume": "Example: cryo-ingest resume job.yaml --store file:///data. Variables: TRACE_ORG_ID, S3_BUCKET.",
}
