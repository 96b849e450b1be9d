"""The node that a scenario's workers read from: a fake one with the scenario's faults, or anvil."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.containers.node import anvil_process
from harness.fakes.rpc.node import Node
from harness.fakes.rpc.server import RpcPool
from harness.runner import objects
from harness.runner.bare_cryo import oracle_of

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from harness.scenario import Scenario

OTHER_CHAIN_ID = 5
UNREACHABLE_URL = "http://127.0.0.1:9"
"""The port of the discard service, where nothing listens."""


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that runs, and beside it a second node of its chain and one of another chain.

    `oracle` says what each file must contain where the chain is not the deterministic one; `pool` is the fake node's.
    """

    url: str
    other_chain_url: str = UNREACHABLE_URL
    second_url: str = UNREACHABLE_URL
    pool: RpcPool | None = None
    oracle: dict[str, dict[str, Any]] | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of all nodes, which a worker must not tell Cryo."""
        return (self.url, self.other_chain_url, self.second_url)


def start_node(scenario: Scenario, stack: ExitStack, *, key: str, cryo: str, folder: Path) -> RunningNode:
    """Start the node that a scenario describes; the stack ends it.

    `key` is the secret in its URL; `cryo` runs without a worker to find what anvil's files must contain, in `folder`.

    Raises:
        EngineError: anvil could not be installed or started.
        subprocess.CalledProcessError: Cryo failed on anvil.
    """
    if scenario.node.kind == "anvil":
        url = stack.enter_context(anvil_process()).url
        return RunningNode(url, oracle=oracle_of(cryo, url, scenario.tasks[0].payload(), folder / "bare"))
    node = Node(
        objects.chain_of(scenario), head=scenario.node.head, finalized=scenario.node.finalized,
        chain_id=scenario.node.claims_chain_id, key=key,
        script={"faults": list(scenario.cryo_faults), "quirks": scenario.node.quirks},
    )  # fmt: skip
    other = replace(node, name="other", chain_id=OTHER_CHAIN_ID)
    second = replace(node, name="second")
    if (at := scenario.node.second_branches_at) is not None:
        second = replace(second, chain=node.chain.reorganised(at=at))
    pool = stack.enter_context(RpcPool([node, other, second], scenario.rpc_faults))
    urls = [f"{url}/v3/{key}" for url in pool.urls]
    return RunningNode(urls[0], other_chain_url=urls[1], second_url=urls[2], pool=pool)
