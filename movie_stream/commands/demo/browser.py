"""Opens an address in the user's browser."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import webbrowser
from typing import Final

_IN_THE_TERMINAL: Final = frozenset({"www-browser", "links", "elinks", "lynx", "w3m"})


async def shown(address: str) -> bool:
    """Opens the address; returns False without a browser. One that runs in a terminal is not used: it would take ours.

    This runs in a process of its own, since some browsers block their caller until they are closed.
    """
    if not await asyncio.to_thread(_is_there):
        return False
    opener = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "webbrowser", address),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return await opener.wait() == 0
    finally:
        if opener.returncode is None:
            opener.kill()
            await opener.wait()


def _is_there() -> bool:
    try:
        return getattr(webbrowser.get(), "name", "") not in _IN_THE_TERMINAL
    except webbrowser.Error:
        return False
