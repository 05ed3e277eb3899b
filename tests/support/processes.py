"""The processes below another one."""

from __future__ import annotations

from pathlib import Path

import psutil


def below(pid: int) -> set[psutil.Process]:
    """The children of a process, and theirs; none where it has ended."""
    try:
        return set().union(*({psutil.Process(child)} | below(child) for child in _children(pid)))
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):  # one that has just ended, or no Linux
        return _all_below(pid)


def _children(pid: int) -> list[int]:
    """As Linux lists them: psutil reads every process of the machine, which takes twenty times as long."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def _all_below(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()
