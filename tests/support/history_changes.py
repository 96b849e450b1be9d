"""Changes to a correct history, each of which injects one defect of a worker; for the tests of the checks."""

from collections.abc import Callable
from typing import Any, TypeVar

from harness.history import (
    CryoStarted,
    DispatcherCall,
    Event,
    FinalObject,
    RpcCall,
    StagedEntry,
    StoreRequest,
    StoreResponse,
    TaskCreated,
    WorkerExited,
    final_state,
    of,
)

Events = list[Event]
Change = Callable[[Events], Events]
E = TypeVar("E", bound=Event)
LEAK = "https://node.example/<secret:rpc-key>"


def changed(event: E, **fields: Any) -> E:
    return event.model_copy(update=fields)


def change_final_state(events: Events, **fields: Any) -> Events:
    return [*events[:-1], changed(final_state(events), **fields)]


def final_fields(**fields: Any) -> Change:
    """Change fields of the final state."""
    return lambda events: change_final_state(events, **fields)


def objects(change: Callable[[str, FinalObject], FinalObject | None]) -> Change:
    """Change each object of the final state; None removes it."""

    def change_objects(events: Events) -> Events:
        found = {key: change(key, stored) for key, stored in final_state(events).objects.items()}
        return change_final_state(events, objects={key: stored for key, stored in found.items() if stored is not None})

    return change_objects


def object_fields(**fields: Any) -> Change:
    """Change fields of each object of the final state."""
    return objects(lambda _, stored: stored.model_copy(update=fields))


def manifest(change: Callable[[str], str]) -> Change:
    """Change the text of each manifest."""

    def change_manifest(key: str, stored: FinalObject) -> FinalObject:
        return stored.model_copy(update={"text": change(stored.text or "")}) if key.endswith(".json") else stored

    return objects(change_manifest)


def parquet(**facts: Any) -> Change:
    """Change some facts of each Parquet file."""
    return objects(
        lambda _, stored: stored.model_copy(update={"parquet": stored.parquet | facts}) if stored.parquet else stored
    )


def all_parquet_facts(**facts: Any) -> Change:
    """Replace all facts of each Parquet file."""
    return objects(lambda _, stored: stored.model_copy(update={"parquet": facts}) if stored.parquet else stored)


def remove_objects(suffix: str) -> Change:
    """Remove the objects whose key has this ending."""
    return objects(lambda key, stored: None if key.endswith(suffix) else stored)


def each(kind: str, **fields: Any) -> Change:
    """Change all events of a kind."""
    return lambda events: [changed(event, **fields) if event.kind == kind else event for event in events]


def stdout(change: Callable[[str], str]) -> Change:
    """Change the standard output of each worker."""
    return lambda events: [
        changed(event, stdout=change(event.stdout)) if isinstance(event, WorkerExited) else event for event in events
    ]


def without(event_class: type[Event]) -> Change:
    """Remove all events of a class."""
    return lambda events: [event for event in events if not isinstance(event, event_class)]


def without_completions(events: Events) -> Events:
    return [event for event in events if event.kind != "complete"]


def completion_fields(**fields: Any) -> Change:
    """Change fields of the request of each completion."""
    return lambda events: [
        changed(event, request=event.request | fields)
        if isinstance(event, DispatcherCall) and event.kind == "complete"
        else event
        for event in events
    ]


def at_end(events: Events) -> dict[str, Any]:
    """Return number and time of the final state, for events that are added before it."""
    return {"number": events[-1].number, "at": events[-1].at}


def add(make: Callable[[Events], Event]) -> Change:
    """Add one event just before the final state."""
    return lambda events: [*events[:-1], make(events), events[-1]]


def first_put(events: Events) -> StoreResponse:
    return next(event for event in of(events, StoreResponse) if event.kind == "object_put")


def put_of(name: str) -> Change:
    """Add a PUT of another name below the prefix."""
    return add(
        lambda events: changed(first_put(events), key=first_put(events).key.rpartition("/")[0] + name, **at_end(events))
    )


def put_elsewhere(events: Events) -> Event:
    return changed(first_put(events), key="elsewhere.parquet", **at_end(events))


def put_after_manifest(events: Events) -> Event:
    return changed(first_put(events), **at_end(events))


def put_after_publication(events: Events) -> Event:
    """Return a PUT whose request arrived after the publication was accepted."""
    return changed(first_put(events), **at_end(events), request_number=events[-1].number)


def first_put_after_manifest(events: Events) -> Events:
    """Return the history of a worker without conditional writes that wrote its first file after the manifest."""
    put = first_put(events)
    others = [event for event in events[:-1] if event is not put]
    return [*others, changed(put, create_only=False, **at_end(events)), events[-1]]


def left_in_staging(path: str) -> Change:
    """Leave a file in the task's staging directory."""

    def change(events: Events) -> Events:
        task_id = of(events, TaskCreated)[0].task_id
        entry = StagedEntry(path=f"{task_id}/{path}", type="file", mode="600")
        return change_final_state(events, staged=(entry,))

    return change


def store_request_before_claim(events: Events) -> Events:
    return [events[0], StoreRequest(number=0, at=0, operation="list", key="cryo/1/"), *events[1:]]


def cryo_with_mesc(events: Events) -> Event:
    arguments = ("logs", "--blocks", "0:9")
    return CryoStarted(
        **at_end(events), arguments=arguments, environment=("MESC_PATH",), directory="/x", pid=1, staged=()
    )


def store_request_after_conflict(events: Events) -> Events:
    """Return the history with a request to the store after the completion got 409."""
    end = final_state(events)
    request = StoreRequest(number=end.number, at=end.at, operation="put", key="x")
    return [*events[:-1], request, changed(end, number=end.number + 1)]


def second_completion(events: Events) -> Event:
    completion = next(event for event in of(events, DispatcherCall) if event.kind == "complete")
    return changed(completion, **at_end(events))


def unexpected_put(events: Events) -> Event:
    return StoreResponse(
        **at_end(events),
        kind="object_put",
        request_number=1,
        operation="PUT",
        key="x",
        status=200,
        delivered_status=200,
        create_only=True,
        digest="00",
    )


def other_version(events: Events) -> Events:
    """Return the history with another version in the publication of the first worker."""
    change = stdout(lambda text: text.replace('version":"', 'version":"1'))
    return [*change(events[:-2]), *events[-2:]]


def copies_of_objects(events: Events) -> Events:
    """Return the history with a copy of each object below the prefix."""
    found = final_state(events).objects
    return change_final_state(events, objects=found | {f"{key}.parquet": stored for key, stored in found.items()})


def registered_twice(events: Events) -> Events:
    return change_final_state(events, registered=dict.fromkeys(final_state(events).registered, 2))


def rpc_call(events: Events) -> Event:
    return RpcCall(**at_end(events), node="n", method="eth_chainId", blocks=None, fault=False)


def deletion(events: Events) -> Event:
    """Return the deletion of an object that was stored before the run."""
    return StoreResponse(
        **at_end(events),
        kind="object_deleted",
        request_number=1,
        operation="DELETE",
        status=204,
        delivered_status=204,
        key=next(iter(final_state(events).objects)),
    )


def wrong_row_count(_: str, stored: FinalObject) -> FinalObject:
    return stored.model_copy(update={"metadata": stored.metadata | {"rows": "1"}})
