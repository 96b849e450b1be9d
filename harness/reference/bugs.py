"""The bugs of the reference worker; `HARNESS_REFERENCE_BUG` switches on one of them, or several with commas.

Each bug has the clause whose check must catch it. The switch is in the code next to the correct behaviour, so that a
reader sees both. `source` is the public thread of a real incident of this kind; a bug without it is a mistake that a
reader of contract.md could make.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

BUG_VARIABLE = "HARNESS_REFERENCE_BUG"
GITHUB = "https://github.com/"


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug: what the worker does wrong, in one sentence, and the clause that this breaks."""

    name: str
    clause: str
    does: str
    source: str | None = None


_TABLE = (
    ("config-hash-is-optional", "PAY-1", "Accepts a payload without config_hash.", None),
    ("true-is-an-integer", "PAY-5", "Accepts true, 1.0 and numerals in quotes as integers.", None),
    ("bad-payload-is-retryable", "PAY-2", "Reports a bad payload as retryable.", None),
    ("refuses-unknown-fields", "PAY-3", "Rejects a payload with an unknown field.", None),
    ("runs-aliases", "PAY-4", "Runs Cryo for an alias such as txs.", None),
    ("decrements-the-end", "RNG-1", "Passes the decremented end of the range to Cryo.", None),
    ("blocks-before-dataset", "RNG-1", "Puts the dataset after --blocks in Cryo's arguments.", None),
    ("publishes-part-of-the-range", "OUT-2", "Publishes the files that there are after Cryo's exit code 1.", None),
    ("pads-the-range", "RNG-2", "Publishes one block past the end of the range.", None),
    ("extracts-a-second-dataset", "RNG-3", "Also runs Cryo for the dataset blocks.", None),
    (
        "believes-exit-zero",
        "RNG-4",
        "Publishes all files once Cryo has ended with exit code 0.",
        "paradigmxyz/cryo/pull/255",
    ),
    (
        "counts-rows-only",
        "RNG-4",
        "Compares only the number of rows with the number of blocks, not the block numbers.",
        None,
    ),
    (
        "believes-empty-answers",
        "RNG-4",
        "Never compares the rows with the chain, so that a lagging node loses logs unnoticed.",
        "ethereum/go-ethereum/issues/24078",
    ),
    (
        "endpoint-is-not-asked",
        "RNG-5",
        "Does not check the chain id and the finality of the endpoint.",
        "ethereum-lists/chains/issues/8635",
    ),
    ("version-is-random", "VER-1", "Derives a different version in every attempt.", None),
    ("version-of-upper-case", "VER-2", "Derives the version from the UUID in upper case.", None),
    ("pads-the-prefix", "LAY-1", "Pads the range in the prefix with zeros.", None),
    ("uploads-reports", "LAY-2", "Uploads a report beside the Parquet files.", None),
    ("rewrites-the-parquet", "LAY-2", "Recompresses Cryo's files before the upload.", None),
    ("renames-files", "LAY-9", "Uploads the files under other names.", None),
    ("network-of-the-pool", "LAY-9", "Passes the name of the pool to Cryo as the network name.", None),
    ("manifest-of-bare-names", "LAY-3", "Lists file names instead of keys in the manifest.", None),
    ("manifest-tells-more", "LAY-4", "Adds a field to the manifest.", None),
    ("manifest-is-unsorted", "LAY-4", "Lists the keys in the manifest unsorted, and one of them twice.", None),
    ("manifest-comes-first", "LAY-5", "Writes the manifest before the files.", None),
    ("never-compares-sizes", "LAY-5", "Trusts a 200 for a PUT without comparing the size in the listing.", None),
    ("leftovers-stay", "LAY-6", "Leaves unexpected keys under the prefix.", "cweber12/kelp-compare/issues/3"),
    ("manifest-tells-the-host", "LAY-7", "Writes the host name into the manifest.", None),
    ("manifest-is-pretty", "LAY-7", "Indents the manifest and leaves out the final newline.", None),
    ("no-object-metadata", "LAY-8", "Uploads without metadata.", None),
    ("sends-no-checksum", "LAY-8", "Uploads without a SHA-256 that the store can check.", None),
    ("claims-more-evidence", "LAY-8", "Records the evidence receipts, whatever level it proved.", None),
    (
        "overwrites-what-is-stored",
        "LAY-10",
        "Uploads without conditions and overwrites stored objects.",
        "pithings/mountx/issues/19",
    ),
    ("always-runs-cryo", "LAY-10", "Runs Cryo although the version is stored completely.", None),
    ("believes-any-manifest", "LAY-10", "Publishes a version that has any manifest, even a damaged one.", None),
    ("adopts-other-rows", "LAY-10", "Adopts any readable file that is stored under a key.", None),
    ("believes-less-evidence", "LAY-10", "Publishes stored data without the level of proof that is asked for.", None),
    (
        "precondition-failed-is-fatal",
        "LAY-10",
        "Fails on the 412 that follows the lost answer to its own PUT.",
        "aws/aws-sdk-java-v2/issues/6580",
    ),
    ("trusts-conditional-writes", "LAY-10", "Does not check that the store honours conditions.", None),
    ("quotes-etags-only", "LAY-10", "Sends If-Match only with quotes, which some stores reject.", None),
    ("mixes-the-modes", "LAY-11", "Adopts fake data in real mode, and real data in fake mode.", None),
    (
        "deletes-another-dataset",
        "LAY-12",
        "Replaces the published version of another dataset with the same identity.",
        None,
    ),
    ("publication-lacks-the-config-hash", "PUB-1", "Publishes without config_hash.", None),
    ("publishes-twice", "PUB-1", "Puts the publication into its completion twice.", None),
    ("glob-of-everything", "PUB-2", "Publishes the glob * in the storage reference.", None),
    ("failure-publishes", "PUB-3", "Sends a publication with a failed attempt.", None),
    ("manifest-is-late", "PUB-4", "Publishes before it writes the manifest.", None),
    ("manifest-is-a-stub", "PUB-4", "Writes an empty manifest, publishes, and then writes the right one.", None),
    ("retries-a-stale-completion", "PUB-5", "Sends its completion again after a 409.", None),
    ("completes-twice", "PUB-6", "Sends every successful completion twice.", "dusterio/laravel-aws-worker/issues/65"),
    ("any-mode-is-fake", "MOD-1", "Treats every mode except real as fake.", None),
    ("fake-mode-wants-a-url", "MOD-1", "Resolves and calls the RPC pool in fake mode.", None),
    ("fake-data-by-the-clock", "MOD-2", "Draws the seed of fake data from the clock.", None),
    ("missing-cryo-is-retryable", "MOD-3", "Reports a missing binary as retryable.", None),
    ("no-url-is-retryable", "MOD-4", "Reports a pool without a URL as retryable.", None),
    ("common-url-first", "MOD-4", "Prefers the common URL to the URL of the pool.", None),
    ("pool-name-as-it-is", "MOD-6", "Replaces only the hyphens in a pool's name with underscores.", None),
    ("first-url-only", "MOD-7", "Never tries the second URL of a pool.", None),
    ("says-nothing-of-fake-data", "MOD-5", "Does not log a warning that the data are fake.", None),
    ("stages-elsewhere", "STG-1", "Stages in <task>-<attempt> instead of <task>/<attempt>.", None),
    ("staging-is-not-emptied", "STG-1", "Starts in a staging directory without emptying it.", None),
    ("staging-is-open", "STG-2", "Creates staging directories that all users can read.", None),
    ("staging-stays", "STG-3", "Does not delete the staging directory of a successful attempt.", None),
    ("never-sweeps", "STG-4", "Never deletes the staging directories of dead attempts.", None),
    ("sweeps-the-young", "STG-4", "Deletes the staging directories of dead attempts at any age.", None),
    ("ignores-the-staging-lock", "STG-5", "Sweeps and reuses staging directories that are locked.", None),
    ("lock-is-not-inherited", "STG-5", "Does not pass the lock on to Cryo.", None),
    ("cryo-outlives-its-worker", "STG-5", "Lets Cryo continue when the worker is killed.", "RTXteam/RTX/issues/2217"),
    ("follows-staging-links", "STG-6", "Follows links in the staging path.", "OpenPrinting/cups/issues/1448"),
    ("touches-behind-links", "STG-6", "Changes the modification time behind a link before rejecting it.", None),
    ("full-disk-is-fatal", "STG-7", "Reports a full disk as fatal.", None),
    ("failed-staging-stays", "STG-8", "Does not delete the staging directory of a failed attempt.", None),
    ("at-the-cap-is-over", "CAP-1", "Rejects a size that is exactly at a cap.", None),
    ("caps-are-retryable", "CAP-4", "Reports an exceeded cap as retryable.", None),
    ("caps-are-not-watched", "CAP-5", "Checks the caps only after Cryo has ended.", None),
    ("uploads-before-the-caps", "CAP-2", "Checks the caps only after the upload.", None),
    ("keeps-what-is-capped", "CAP-2", "Uploads files that exceed a cap to a prefix for failures.", None),
    ("cap-of-zero", "CAP-3", "Accepts caps of zero and below.", None),
    ("failures-are-silent", "OUT-1", "Does not report an attempt that failed.", None),
    ("always-completed", "OUT-1", "Sends the status Completed for every outcome.", None),
    ("usage-error-is-retryable", "OUT-2", "Reports Cryo's exit code 2 as retryable.", None),
    ("exit-one-is-fatal", "OUT-2", "Reports Cryo's exit code 1 as fatal.", None),
    (
        "store-faults-are-fatal",
        "OUT-2",
        "Reports a temporary failure of the store as fatal.",
        "apache/opendal/issues/6741",
    ),
    ("other-schema-is-retryable", "OUT-4", "Reports an unexpected schema as retryable.", None),
    ("failed-proof-is-fatal", "OUT-4", "Reports a failed proof as fatal.", None),
    ("clock-skew-is-fatal", "OUT-4", "Reports a wrong clock as a denied access.", None),
    ("expired-token-is-fatal", "OUT-4", "Reports an expired token as a denied access.", None),
    (
        "messages-name-no-variable",
        "OUT-6",
        "Leaves the names of variables out of its messages, except those of the RPC pool's URL.",
        None,
    ),
    ("runs-cryo-once", "OUT-5", "Fails the attempt after one run with a missing chunk.", "paradigmxyz/cryo/issues/5"),
    ("keeps-broken-chunks", "OUT-5", "Does not delete broken chunk files, which Cryo then skips.", None),
    ("no-deadline", "OUT-3", "Waits for Cryo without a deadline.", None),
    ("kills-only-the-leader", "OUT-3", "Kills Cryo but not its child processes.", "bmhatfield/riemann-sumd/pull/35"),
    (
        "unclaimable-wakeups-stay",
        "LSE-1",
        "Does not delete the wake-up of a task that can't be claimed.",
        "mapbox/ecs-watchbot/issues/143",
    ),
    ("lite-claims-only", "LSE-1", "Does not understand the documented claim answer.", None),
    (
        "refused-claims-are-acknowledged",
        "LSE-5",
        "Deletes a wake-up whose claim was rejected.",
        "RichardKnop/machinery/issues/275",
    ),
    ("never-renews", "LSE-2", "Sends no heartbeat.", "brendanlong/lion-reader/pull/917"),
    ("works-past-the-lease", "LSE-3", "Continues after its lease is lost.", "marin-community/marin/issues/8107"),
    ("no-margin-to-the-lease", "LSE-3", "Uses its lease until its very end, without a margin.", None),
    ("cryo-outlives-its-lease", "LSE-3", "Sends no requests after its lease is lost, but lets Cryo continue.", None),
    (
        "trusts-its-own-clock",
        "LSE-3",
        "Computes the end of the lease with its own wall clock.",
        "denoland/celld/issues/132",
    ),
    (
        "dies-by-sigterm",
        "LSE-4",
        "Ends immediately on SIGTERM, without stopping Cryo or handing back the attempt.",
        None,
    ),
    ("logs-are-raw", "SEC-1", "Logs and reports the output of Cryo without redaction.", "PNRxA/openposterdb/pull/64"),
    ("notes-the-url-in-the-store", "SEC-1", "Stores the URL in an object during the upload, then deletes it.", None),
    ("url-in-arguments", "SEC-2", "Passes the URL to Cryo with --rpc.", None),
    ("passes-mesc-on", "SEC-2", "Passes MESC_* variables to Cryo.", None),
    ("trusts-logs-by-hash", "RNG-4", "Decides by eth_getLogs alone about a block whose receipts are pruned.", None),
    ("takes-too-few-receipts", "RNG-4", "Accepts receipts that lack some of the block's transactions.", None),
    ("refuses-block-logs", "RNG-4", "Rejects logs that belong to a block and not to a transaction.", None),
    (
        "one-empty-file-proves-all",
        "RNG-4",
        "Caches proofs by the bytes of a file, so that one empty file proves every empty file.",
        None,
    ),
    ("forgives-missing-traces", "RNG-4", "Publishes traces in which a transaction that used gas is missing.", None),
    (
        "error-is-evidence",
        "OUT-2",
        "Treats the first error object of a gateway as a failed proof instead of repeating the call.",
        None,
    ),
    ("503-is-final", "RPC-1", "Passes HTTP 503 on to Cryo as an error that no second call can change.", None),
    ("waits-for-ever", "RPC-1", "Sends calls to the node without a timeout.", None),
    (
        "repeats-no-call",
        "RPC-1",
        "Repeats no call, so that one failure costs Cryo a chunk and all of its calls are sent again.",
        None,
    ),
    ("ignores-retry-after", "RPC-2", "Repeats a call after 429 without waiting for Retry-After.", None),
    ("counts-a-batch-as-one-call", "RPC-2", "Counts only one of ten calls against the limit.", None),
    ("limits-only-cryo", "RPC-2", "Limits the calls of Cryo but not those of the proof.", None),
    ("cryo-reads-from-the-pool", "RPC-3", "Gives Cryo the URL of the pool and not that of a gateway.", None),
    ("passes-the-pool-on", "RPC-3", "Passes the variables of the pool to Cryo.", None),
    ("notes-the-url-in-staging", "RPC-3", "Writes the URL of the pool to a file in Cryo's directory.", None),
    ("does-not-fail-over", "RPC-4", "Stays at its endpoint when that is dead.", None),
    (
        "does-not-compare-the-branch",
        "RPC-4",
        "Goes on at the next endpoint without comparing the blocks at the end of the range.",
        None,
    ),
    (
        "does-not-check-the-next",
        "RPC-4",
        "Goes on at the next endpoint without asking for its chain and its final block.",
        None,
    ),
    ("calls-rows-chain", "LAY-8", "Records the evidence chain for logs that only eth_getLogs confirmed.", None),
)

BUGS = tuple(Bug(name, clause, does, GITHUB + thread if thread else None) for name, clause, does, thread in _TABLE)
"""All bugs in the order of the chapters of contract.md; those added later are at the end."""

_NAMES = frozenset(known.name for known in BUGS)


def has_bug(name: str) -> bool:
    """Return whether a bug is switched on in this process.

    Raises:
        KeyError: the list has no bug of this name.
    """
    if name not in _NAMES:
        raise KeyError(name)
    return name in chosen_bugs(os.environ)


def chosen_bugs(environment: Mapping[str, str]) -> list[str]:
    """Return the names in the variable, which are separated by commas."""
    return [name for name in environment.get(BUG_VARIABLE, "").split(",") if name]
