"""`indi_coldframe_rig`: the simulated rig as a driver under indiserver, over standard input and output."""

import asyncio
import os
import socket
import stat
import sys
from functools import partial

from coldframe.config.simulated_rig import RigFileError, load_rig, switched_on_now
from coldframe.simulators.indi.rig import indi_devices
from coldframe.simulators.indi.serve import BuildDevices, Bus, Connection, DriverSubscription

STANDARD_OUTPUT = 1


def main() -> None:
    """Serve the shipped rig or the rig file named in the environment variable COLDFRAME_RIG, by default `small`."""
    try:
        rig = switched_on_now(load_rig(os.environ.get("COLDFRAME_RIG", "small")))
    except RigFileError as error:
        sys.exit(str(error))
    run_driver(partial(indi_devices, rig))


def run_driver(build: BuildDevices) -> None:
    """Serve devices to the indiserver that started this process, until it disconnects.

    indiserver connects a driver's input and output to one local socket, over which memory files can be passed.
    """
    if not stat.S_ISSOCK(os.fstat(STANDARD_OUTPUT).st_mode):
        sys.exit("this is an INDI driver; start it with indiserver 1.9.8 or newer: indiserver indi_coldframe_rig")
    asyncio.run(_serve(build, socket.socket(fileno=os.dup(STANDARD_OUTPUT))))


async def _serve(build: BuildDevices, stream: socket.socket) -> None:
    async with asyncio.TaskGroup() as tasks:
        bus = Bus(build, tasks)
        await Connection(stream, bus, DriverSubscription()).run()
        bus.stop()
