"""Creates the real collaborators of an attempt, for `run` and for the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from cryo_ingest.clock import SystemClock
from cryo_ingest.extract.cryo import PROGRESS_INTERVAL_SECONDS, CryoExtractor
from cryo_ingest.extract.staging import DirectoryStaging
from cryo_ingest.prove.level import make_prover
from cryo_ingest.rpc.client import HttpChain

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryo_ingest.ports import Chain, Clock, Extractor, MakeProver, ObjectStore, Staging
    from cryo_ingest.redact import Redactor
    from cryo_ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerPorts:
    """The collaborators of a real worker; see `ports.Ports`."""

    extractor: Extractor
    staging: Staging
    store: ObjectStore
    chain: Chain
    clock: Clock
    redact: Callable[[str], str]
    random: Random = field(default_factory=SystemRandom)
    make_prover: MakeProver = make_prover


def make_ports(
    settings: Settings, store: ObjectStore, *, redactor: Redactor, progress_seconds: float = PROGRESS_INTERVAL_SECONDS
) -> WorkerPorts:
    """Create the collaborators; all but the store are always the same classes."""
    clock = SystemClock()
    return WorkerPorts(
        extractor=CryoExtractor(settings, clock, redactor, progress_seconds=progress_seconds),
        staging=DirectoryStaging(settings.staging_root, settings.staging_ttl_hours, clock),
        store=store,
        chain=HttpChain(settings, clock),
        clock=clock,
        redact=redactor,
    )
