"""The machine's processes, by what is on their command lines."""

from pathlib import Path


def command_lines() -> dict[int, bytes]:
    """Return every process's arguments, each ended by a zero byte; one that ends meanwhile is left out."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue
    return found


def running(program: str) -> list[int]:
    """Return the processes whose command line names a program's path."""
    return [pid for pid, command in command_lines().items() if program.encode() in command]
