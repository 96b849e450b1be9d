"""Finds processes of this machine by their command lines."""

from pathlib import Path


def command_lines() -> dict[int, bytes]:
    """Return the arguments of all processes, each terminated by a zero byte."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue
    return found


def running(program: str) -> list[int]:
    """Return the processes whose command line contains a program's path."""
    return [pid for pid, command in command_lines().items() if program.encode() in command]


def descendants(pid: int) -> dict[int, bytes]:
    """Return all descendants of a process, with their command lines."""
    found: dict[int, bytes] = {}
    commands = command_lines()
    pending = [pid]
    while pending:
        try:
            tasks = list(Path(f"/proc/{pending.pop()}/task").iterdir())
            children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
        found |= {child: commands.get(child, b"") for child in children}
        pending += children
    return found
