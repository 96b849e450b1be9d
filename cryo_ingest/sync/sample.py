"""Samples a chain for `plan --sample`: real attempts at a few blocks, into a temporary directory.

A sample goes through the same gateway, Cryo and proof as a task, so it costs calls; nothing of it is published.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.attempt import Failure, run_attempt
from cryo_ingest.model import Assignment
from cryo_ingest.publish.stores import open_store
from cryo_ingest.redact import Redactor
from cryo_ingest.sync.estimate import Sample, estimate, sample_ranges
from cryo_ingest.sync.shared_rate import SharedRates
from cryo_ingest.wiring import make_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryo_ingest.settings import Settings
    from cryo_ingest.sync.derived import Blocks, DerivedStream
    from cryo_ingest.sync.estimate import Estimate
    from cryo_ingest.sync.plan import StreamPlan

SAMPLE_BLOCKS = 200
"""Blocks of a sample: enough rows for the bytes of a row, and few calls."""

OnSample = Callable[[int, int], None]
"""Gets the number of samples that are done, and of all."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The estimates by stream, and the calls that the samples have cost."""

    estimates: dict[str, Estimate]
    calls: int


async def sample_plans(plans: Sequence[StreamPlan], *, settings: Settings, on_sample: OnSample) -> Sampled:
    """Sample each stream that has tasks, one attempt after another.

    Raises:
        IngestError: a sample failed.
    """
    wanted = {plan.stream.key: sample_ranges(plan.tasks, size=SAMPLE_BLOCKS) for plan in plans if plan.tasks}
    count, done = sum(map(len, wanted.values())), 0
    estimates: dict[str, Estimate] = {}
    with tempfile.TemporaryDirectory(prefix="cryo-ingest-sample-") as folder:
        store = open_store(f"file://{folder}", settings.s3)
        ports = make_ports(settings, store, redactor=Redactor(settings.secrets()))
        rates = SharedRates(ports, settings)
        for plan in plans:
            samples = []
            for blocks in wanted.get(plan.stream.key, ()):
                on_sample(done, count)
                samples.append(await _sample(plan.stream, blocks, rates, settings))
                done += 1
            if samples:
                estimates[plan.stream.key] = estimate(plan.tasks, samples)
        on_sample(done, count)
    return Sampled(estimates, ports.chain.meter.totals()["calls"])


async def _sample(stream: DerivedStream, blocks: Blocks, rates: SharedRates, settings: Settings) -> Sample:
    assignment = Assignment(str(uuid.uuid4()), 1, stream.payload(blocks))
    ports = rates.ports_for(stream.stream.rpc_pool)
    try:
        outcome = await run_attempt(assignment, ports=ports, settings=settings)
    finally:
        await ports.staging.discard(assignment.task_id, assignment.attempt)
    if isinstance(outcome, Failure):
        raise outcome.error
    if outcome.written is None:
        raise RuntimeError(stream.key)  # the temporary store was empty
    return Sample(blocks, outcome.written.rows, outcome.written.size_bytes)
