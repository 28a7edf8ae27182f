"""The signals that end coldframe in the safe state: Ctrl-C, `kill`, and a terminal that closes."""

import asyncio
import signal
from collections.abc import Callable

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def on_end_signals(end: Callable[[], object]) -> None:
    """Call `end` on the running loop whenever one of these signals arrives."""
    loop = asyncio.get_running_loop()
    for number in END_SIGNALS:
        loop.add_signal_handler(number, end)
