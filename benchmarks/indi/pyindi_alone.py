"""Measure the speed of pyindi-client alone with `python -m benchmarks.indi.pyindi_alone PORT DEVICE FRAMES EXPOSURE`.

Commands and pixels share one connection, as in most programs that use the library. The program prints the seconds per
frame, from the request for the exposure to a NumPy array.
"""

import sys
import time
from queue import SimpleQueue

import numpy as np
import PyIndi

PATIENCE_S = 60.0


class Client(PyIndi.BaseClient):  # type: ignore[misc]  # the library has no types
    """A client that queues the names of defined properties, and copies BLOBs within the callback."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: SimpleQueue[str] = SimpleQueue()
        self.frames: SimpleQueue[int] = SimpleQueue()

    def newProperty(self, prop: PyIndi.Property) -> None:  # noqa: N802, D102  # the library's name
        self.seen.put(prop.getName())

    def updateProperty(self, prop: PyIndi.Property) -> None:  # noqa: N802, D102  # the library's name
        if prop.getType() == PyIndi.INDI_BLOB:
            content = np.frombuffer(PyIndi.PropertyBlob(prop)[0].getblobdata(), np.uint8)
            self.frames.put(content.size)

    def wait_for(self, name: str) -> None:
        """Wait until a property is defined."""
        while self.seen.get(timeout=PATIENCE_S) != name:
            pass


def switch(client: Client, device: str, name: str, element: str) -> None:
    """Switch one element on."""
    prop = PyIndi.PropertySwitch(1)
    prop[0].setName(element)
    prop[0].setState(PyIndi.ISS_ON)
    prop.setDeviceName(device)
    prop.setName(name)
    client.sendNewProperty(prop)


def expose(client: Client, device: str, exposure_s: float) -> None:
    """Request an exposure."""
    prop = PyIndi.PropertyNumber(1)
    prop[0].setName("CCD_EXPOSURE_VALUE")
    prop[0].setValue(exposure_s)
    prop.setDeviceName(device)
    prop.setName("CCD_EXPOSURE")
    client.sendNewProperty(prop)


def main(port: int, device: str, frames: int, exposure_s: float) -> None:
    """Print the seconds per frame."""
    client = Client()
    client.setServer("127.0.0.1", port)
    if not client.connectServer():
        sys.exit(f"no INDI server on port {port}")
    client.wait_for("CONNECTION")
    switch(client, device, "CONNECTION", "CONNECT")
    client.wait_for("CCD1")
    client.setBLOBMode(PyIndi.B_ALSO, device, "CCD1")
    for number in range(frames + 1):
        if number == 1:
            begin = time.perf_counter()
        expose(client, device, exposure_s)
        client.frames.get(timeout=PATIENCE_S)
    print((time.perf_counter() - begin) / frames)
    client.disconnectServer()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
