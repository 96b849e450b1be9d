"""The bugs that the reference worker can be told to have, one at a time, by `HARNESS_REFERENCE_BUG`.

Each names the clause that has to catch it. The switch stands where the right behaviour is, so a reader sees both.
`source` is the public thread of a real incident of the kind; the others are slips that a reader of contract.md could
make.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

BUG_VARIABLE = "HARNESS_REFERENCE_BUG"
GITHUB = "https://github.com/"


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug: what the worker does wrong, in one sentence, and the clause that it breaks."""

    name: str
    clause: str
    does: str
    source: str | None = None


_TABLE = (
    ("config-hash-is-optional", "PAY-1", "Takes a payload without config_hash.", None),
    ("true-is-an-integer", "PAY-5", "Takes true, 1.0 and numerals in quotes for integers.", None),
    ("bad-payload-is-retryable", "PAY-2", "Reports a bad payload as retryable.", None),
    ("refuses-unknown-fields", "PAY-3", "Refuses a payload with a field that it does not know.", None),
    ("runs-aliases", "PAY-4", "Runs Cryo for an alias such as txs.", None),
    ("decrements-the-end", "RNG-1", "Passes Cryo an end that it has decremented.", None),
    ("blocks-before-dataset", "RNG-1", "Puts the dataset after --blocks in Cryo's arguments.", None),
    ("pads-the-range", "RNG-2", "Publishes one block past the end of the range.", None),
    ("extracts-a-second-dataset", "RNG-3", "Runs Cryo for the blocks of the range too.", None),
    (
        "believes-exit-zero",
        "RNG-4",
        "Publishes whatever is there when Cryo has ended with 0.",
        "paradigmxyz/cryo/pull/255",
    ),
    ("counts-rows-only", "RNG-4", "Takes as many rows as blocks for all blocks, whichever they are.", None),
    (
        "believes-empty-answers",
        "RNG-4",
        "Never holds the rows against the chain, so a node that lags loses logs silently.",
        "ethereum/go-ethereum/issues/24078",
    ),
    (
        "endpoint-is-not-asked",
        "RNG-5",
        "Does not ask the endpoint for its chain id or its finality.",
        "ethereum-lists/chains/issues/8635",
    ),
    ("version-is-random", "VER-1", "Derives another version on every attempt.", None),
    ("version-of-upper-case", "VER-2", "Derives the version from the UUID in upper case.", None),
    ("pads-the-prefix", "LAY-1", "Pads the range in the prefix with zeros.", None),
    ("uploads-reports", "LAY-2", "Uploads a report beside the Parquet files.", None),
    ("rewrites-the-parquet", "LAY-2", "Compresses Cryo's files anew before the upload.", None),
    ("renames-files", "LAY-9", "Uploads under names of its own.", None),
    ("network-of-the-pool", "LAY-9", "Passes Cryo the pool's name as the network's.", None),
    ("manifest-of-bare-names", "LAY-3", "Lists file names instead of keys in the manifest.", None),
    ("manifest-tells-more", "LAY-4", "Adds a field to the manifest.", None),
    ("manifest-is-unsorted", "LAY-4", "Lists the manifest's keys unsorted and one of them twice.", None),
    ("manifest-comes-first", "LAY-5", "Writes the manifest before the files.", None),
    ("never-compares-sizes", "LAY-5", "Trusts a 200 for a PUT, whatever the store lists after it.", None),
    ("leftovers-stay", "LAY-6", "Leaves foreign keys under the prefix.", "cweber12/kelp-compare/issues/3"),
    ("manifest-tells-the-host", "LAY-7", "Writes its host name into the manifest.", None),
    ("manifest-is-pretty", "LAY-7", "Indents the manifest and leaves out the final newline.", None),
    ("no-object-metadata", "LAY-8", "Uploads without metadata.", None),
    ("sends-no-checksum", "LAY-8", "Uploads without a SHA-256 for the store to check.", None),
    ("claims-more-evidence", "LAY-8", "Says receipts in its metadata, whatever level it proved.", None),
    (
        "overwrites-what-is-stored",
        "LAY-10",
        "Uploads without conditions, whatever is there.",
        "pithings/mountx/issues/19",
    ),
    ("always-runs-cryo", "LAY-10", "Runs Cryo though the version is there and whole.", None),
    ("believes-any-manifest", "LAY-10", "Publishes what a manifest is there for, torn or not.", None),
    ("adopts-other-rows", "LAY-10", "Adopts any readable file that is stored under a key.", None),
    ("believes-less-evidence", "LAY-10", "Publishes stored data without the level of proof that is asked for.", None),
    (
        "precondition-failed-is-fatal",
        "LAY-10",
        "Gives up at the 412 that the lost answer to its own PUT brings about.",
        "aws/aws-sdk-java-v2/issues/6580",
    ),
    ("trusts-conditional-writes", "LAY-10", "Never finds out that the store ignores conditions.", None),
    ("quotes-etags-only", "LAY-10", "Knows If-Match only with the quotes that some stores refuse.", None),
    ("mixes-the-modes", "LAY-11", "Adopts fake data in real mode, and the other way round.", None),
    (
        "deletes-another-dataset",
        "LAY-12",
        "Replaces the published version of another dataset with the same identity.",
        None,
    ),
    ("publication-lacks-the-config-hash", "PUB-1", "Publishes without config_hash.", None),
    ("publishes-twice", "PUB-1", "Puts the publication into its completion twice.", None),
    ("glob-of-everything", "PUB-2", "Publishes the glob * in its storage reference.", None),
    ("failure-publishes", "PUB-3", "Sends a publication with a failed attempt.", None),
    ("manifest-is-late", "PUB-4", "Publishes before it writes the manifest.", None),
    ("manifest-is-a-stub", "PUB-4", "Writes an empty manifest, publishes, and then writes the right one.", None),
    ("retries-a-stale-completion", "PUB-5", "Sends its completion again after a 409.", None),
    ("completes-twice", "PUB-6", "Sends every successful completion twice.", "dusterio/laravel-aws-worker/issues/65"),
    ("any-mode-is-fake", "MOD-1", "Takes every mode but real for fake.", None),
    ("fake-mode-wants-a-url", "MOD-1", "Resolves and asks the RPC pool in fake mode.", None),
    ("fake-data-by-the-clock", "MOD-2", "Draws the seed of fake data from the clock.", None),
    ("missing-cryo-is-retryable", "MOD-3", "Reports a missing binary as retryable.", None),
    ("no-url-is-retryable", "MOD-4", "Reports a pool without a URL as retryable.", None),
    ("common-url-first", "MOD-4", "Prefers the common URL to the pool's own.", None),
    ("pool-name-as-it-is", "MOD-6", "Turns only the hyphens of a pool's name into underscores.", None),
    ("first-url-only", "MOD-7", "Never tries the second URL of a pool.", None),
    ("says-nothing-of-fake-data", "MOD-5", "Does not warn that the data are fake.", None),
    ("stages-elsewhere", "STG-1", "Stages in <task>-<attempt> instead of <task>/<attempt>.", None),
    ("staging-is-not-emptied", "STG-1", "Starts in a staging directory with what was in it.", None),
    ("staging-is-open", "STG-2", "Makes staging directories that everybody can read.", None),
    ("staging-stays", "STG-3", "Leaves the directory of a successful attempt.", None),
    ("never-sweeps", "STG-4", "Leaves the directories of the dead for ever.", None),
    ("sweeps-the-young", "STG-4", "Deletes the directories of the dead at any age.", None),
    ("ignores-the-staging-lock", "STG-5", "Sweeps and reuses directories that are held.", None),
    ("lock-is-not-inherited", "STG-5", "Does not pass the lock on to Cryo.", None),
    ("cryo-outlives-its-worker", "STG-5", "Lets Cryo run on when the worker is killed.", "RTXteam/RTX/issues/2217"),
    ("follows-staging-links", "STG-6", "Follows links in the staging path.", "OpenPrinting/cups/issues/1448"),
    ("touches-behind-links", "STG-6", "Marks a linked staging directory as used before it refuses it.", None),
    ("full-disk-is-fatal", "STG-7", "Reports a full disk as fatal.", None),
    ("failed-staging-stays", "STG-8", "Leaves the directory of a failed attempt.", None),
    ("at-the-cap-is-over", "CAP-1", "Refuses what is exactly at a cap.", None),
    ("caps-are-retryable", "CAP-4", "Reports an exceeded cap as retryable.", None),
    ("caps-are-not-watched", "CAP-5", "Looks at the caps only when Cryo has ended.", None),
    ("uploads-before-the-caps", "CAP-2", "Looks at the caps only after the upload.", None),
    ("keeps-what-is-capped", "CAP-2", "Uploads what exceeds a cap to a prefix for failures.", None),
    ("cap-of-zero", "CAP-3", "Takes caps of zero and below.", None),
    ("failures-are-silent", "OUT-1", "Does not report an attempt that failed.", None),
    ("always-completed", "OUT-1", "Sends the status Completed whatever the outcome.", None),
    ("usage-error-is-retryable", "OUT-2", "Reports Cryo's exit code 2 as retryable.", None),
    ("exit-one-is-fatal", "OUT-2", "Reports Cryo's exit code 1 as fatal.", None),
    ("store-faults-are-fatal", "OUT-2", "Reports a store that fails as fatal.", "apache/opendal/issues/6741"),
    ("other-schema-is-retryable", "OUT-4", "Reports a schema that is not the pinned one as retryable.", None),
    ("failed-proof-is-fatal", "OUT-4", "Reports a failed proof as fatal.", None),
    ("clock-skew-is-fatal", "OUT-4", "Reports a wrong clock as a denied access.", None),
    ("expired-token-is-fatal", "OUT-4", "Reports an expired token as a denied access.", None),
    ("runs-cryo-once", "OUT-5", "Gives a range up for one missing chunk.", "paradigmxyz/cryo/issues/5"),
    ("keeps-broken-chunks", "OUT-5", "Leaves broken chunk files, which Cryo then skips.", None),
    ("no-deadline", "OUT-3", "Waits for Cryo for ever.", None),
    ("kills-only-the-leader", "OUT-3", "Kills Cryo but not what it started.", "bmhatfield/riemann-sumd/pull/35"),
    (
        "unclaimable-wakeups-stay",
        "LSE-1",
        "Leaves the wake-up of a task that can't be claimed.",
        "mapbox/ecs-watchbot/issues/143",
    ),
    ("lite-claims-only", "LSE-1", "Does not understand the documented claim answer.", None),
    (
        "refused-claims-are-acknowledged",
        "LSE-5",
        "Deletes a wake-up whose claim was refused.",
        "RichardKnop/machinery/issues/275",
    ),
    ("never-renews", "LSE-2", "Sends no heartbeat.", "brendanlong/lion-reader/pull/917"),
    ("works-past-the-lease", "LSE-3", "Goes on when its lease is lost.", "marin-community/marin/issues/8107"),
    ("no-margin-to-the-lease", "LSE-3", "Trusts its lease to the last moment.", None),
    ("cryo-outlives-its-lease", "LSE-3", "Stops asking when its lease is lost, but lets Cryo run on.", None),
    ("trusts-its-own-clock", "LSE-3", "Reckons the lease's end by its own wall clock.", "denoland/celld/issues/132"),
    ("dies-by-sigterm", "LSE-4", "Ends at once on SIGTERM, Cryo and lease forgotten.", None),
    ("logs-are-raw", "SEC-1", "Logs and reports what Cryo printed as it is.", "PNRxA/openposterdb/pull/64"),
    ("notes-the-url-in-the-store", "SEC-1", "Keeps the URL in an object while it uploads, then deletes it.", None),
    ("url-in-arguments", "SEC-2", "Passes the URL to Cryo by --rpc.", None),
    ("passes-mesc-on", "SEC-2", "Leaves MESC_* in Cryo's environment.", None),
    ("trusts-logs-by-hash", "RNG-4", "Lets eth_getLogs decide alone on a block whose receipts are gone.", None),
    ("takes-too-few-receipts", "RNG-4", "Takes receipts that lack some of the block's transactions.", None),
    ("refuses-block-logs", "RNG-4", "Rejects logs that belong to a block and to no transaction.", None),
    (
        "one-empty-file-proves-all",
        "RNG-4",
        "Remembers what was proved by the bytes alone, so that an empty file confirms every empty file.",
        None,
    ),
    ("forgives-missing-traces", "RNG-4", "Publishes traces that lack a transaction that used gas.", None),
    (
        "error-is-evidence",
        "OUT-2",
        "Takes the first error object of a gateway for a failed proof instead of asking again.",
        None,
    ),
    ("calls-rows-chain", "LAY-8", "Records the evidence chain for logs that only their own source confirmed.", None),
)

BUGS = tuple(Bug(name, clause, does, GITHUB + thread if thread else None) for name, clause, does, thread in _TABLE)
"""All of them, in the order of contract.md's chapters, later ones at the end."""

_NAMES = frozenset(known.name for known in BUGS)


def bug(name: str) -> bool:
    """Tell whether this process has been told to have a bug.

    Raises:
        KeyError: there is no bug of that name in the list.
    """
    if name not in _NAMES:
        raise KeyError(name)
    return os.environ.get(BUG_VARIABLE) == name
