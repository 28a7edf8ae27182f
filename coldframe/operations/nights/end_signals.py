"""The signals that end coldframe with the rig in the safe state: Ctrl-C, `kill`, and a terminal that closes."""

import asyncio
import signal
from collections.abc import Callable
from functools import partial

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ECHO_S = 0.5
"""Time within which several signals count as one. Ctrl-C often arrives twice, because the program that
started coldframe forwards it."""


def on_end_signals(end: Callable[[], object]) -> None:
    """Call `end` on the running loop when one of `END_SIGNALS` arrives, and again for each further request to end.

    A SIGHUP is never a further request: a terminal that closes sends it several times, and no user is left to
    repeat a request. A SIGHUP that is ignored when coldframe starts, as with nohup(1), stays ignored.
    """
    loop = asyncio.get_running_loop()
    heard_s: float | None = None

    def heard(number: signal.Signals) -> None:
        nonlocal heard_s
        before_s, now_s = heard_s, loop.time()
        if before_s is not None and (number is signal.SIGHUP or now_s - before_s < ECHO_S):
            return
        heard_s = now_s
        end()

    for number in END_SIGNALS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, partial(heard, number))
