"""`fake-cryo`: one run, from its arguments to its files. Start-up is kept short: imports wait until they are needed."""

from __future__ import annotations

import os
import sys

from harness.fakes.cryo.arguments import Arguments, CommandError, parse

UNKNOWN_CHAIN = 1


def main() -> None:
    """Run the command line and exit as Cryo would."""
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Run once and return the exit code: 0, or 1 for what real Cryo refuses."""
    try:
        return _run(parse(words))
    except CommandError as error:
        sys.stdout.write(f"{error}\n")
        return 1


def _run(arguments: Arguments) -> int:
    from harness.fakes.cryo import freeze  # noqa: PLC0415 - pyarrow, which usage errors do without

    freeze.refuse_unknown(arguments.dataset)
    url = arguments.rpc or os.environ.get("ETH_RPC_URL")
    if url is None:
        chain_id = int(os.environ.get("FAKE_CRYO_CHAIN_ID", UNKNOWN_CHAIN))
        seed = int(os.environ.get("FAKE_CRYO_SEED", "0"))
    else:
        from harness.fakes.cryo import endpoint  # noqa: PLC0415 - only with an endpoint

        chain_id = endpoint.chain_id_of(url)
        seed = int(endpoint.script_of(url, arguments.words).get("seed", 0))
    return freeze.freeze(arguments, chain_id=chain_id, seed=seed, url=url)
