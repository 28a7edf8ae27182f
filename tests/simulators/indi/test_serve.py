"""The rig over INDI with a client that receives every byte, with stock clients, and with a stock indiserver."""

import asyncio
import io
import re
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pybase64
import pytest
from astropy.io import fits

from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.simulators.indi.serve import ServerStartError, serve
from coldframe.simulators.sensor import Exposure, Sensor
from tests.nights.virtual_time import VirtualTimeLoop
from tests.patience import PATIENCE_S
from tests.simulators.conftest import (
    CAMERA,
    FRAMES_BEFORE,
    PANEL,
    WHEEL,
    RawClient,
    Server,
    Serving,
    new_address,
    rig_server,
)

Wrap = Callable[[socket.socket], RawClient]

BLOB_UNIX = r'<oneBLOB name="CCD1" size="(\d+)" format=".fits" len="\d+" attached="true"\s*/>'


def opened(data: bytes) -> tuple[np.ndarray, fits.Header]:
    with fits.open(io.BytesIO(data)) as hdus:
        hdus.verify("exception")
        return np.array(hdus[0].data), hdus[0].header


async def exposed(client: RawClient, exposure_s: float) -> tuple[np.ndarray, fits.Header]:
    """Expose over the local socket, and return the frame."""
    await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=exposure_s)
    size = int((await client.until(BLOB_UNIX)).group(1))
    await client.until_state("CCD_EXPOSURE", "Ok")
    return opened(client.take_file(size))


async def also(client: RawClient) -> None:
    await client.send(f"<enableBLOB device='{CAMERA}'>Also</enableBLOB>")


async def test_an_attached_frame_is_exact(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    client = clients((await serving(small)).unix())
    await client.connect(CAMERA)
    await also(client)
    await client.switch(CAMERA, "CCD_FRAME_TYPE", "FRAME_BIAS")
    pixels, header = await exposed(client, 0.5)
    shortest_s = small.timing.shortest_exposure_s
    expected = Sensor(small.sensor, small.seed).render(Exposure(1, shortest_s, gain=100, offset=50, sensor_c=18))
    assert np.array_equal(pixels, expected)
    assert header["IMAGETYP"] == "Bias Frame"
    # libindi's base class uses the shortest exposure for bias frames.
    assert header["EXPTIME"] == shortest_s
    assert (header["GAIN"], header["FILTER"], header["ROWORDER"]) == (100, "L", "TOP-DOWN")


async def test_tcp_carries_the_same_bytes_as_text(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    server = await serving(small)
    local, remote = clients(server.unix()), clients(server.tcp())
    await local.connect(CAMERA)
    await remote.connect()
    await also(local)
    await also(remote)
    await local.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01)
    size = int((await local.until(BLOB_UNIX)).group(1))
    found = await remote.until(r'<oneBLOB name="CCD1" size="(\d+)" format=".fits">([^<]*)</oneBLOB>')
    assert int(found.group(1)) == size
    assert pybase64.b64decode(found.group(2)) == local.take_file(size)


def in_virtual_time(small: SimulatedRig, scenario: Callable[[RawClient], Awaitable[None]]) -> None:
    """Run a scenario with a client of the camera, in which only the rig's own waits advance the loop's time."""

    async def play() -> None:
        async with rig_server() as serving:
            client = RawClient((await serving(small)).unix())
            try:
                await client.connect(CAMERA)
                await also(client)
                await scenario(client)
            finally:
                client.close()

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(3600.0, PATIENCE_S)) as runner:
        runner.run(play())


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_the_blob_comes_before_the_ok(small: SimulatedRig) -> None:
    async def scenario(client: RawClient) -> None:
        begin_s = now_s()
        await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.7)
        seen = await client.until('name="CCD_EXPOSURE" state="Ok"')
        assert now_s() - begin_s == pytest.approx(0.7 + small.timing.readout_s, abs=0.01)
        names = re.findall(r'name="(CCD_EXPOSURE|CCD1)" state="(\w+)"', seen.string[: seen.end()])
        assert names[-2:] == [("CCD1", "Ok"), ("CCD_EXPOSURE", "Ok")]
        left_s = [float(each) for each in re.findall(r'"CCD_EXPOSURE_VALUE">([\d.e-]+)<', seen.string)]
        assert left_s[0] == 0.7
        assert len(left_s) >= 3
        assert left_s == sorted(left_s, reverse=True)

    in_virtual_time(small, scenario)


async def test_abort_gives_idle_and_no_frame(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    client = clients((await serving(small)).unix())
    await client.connect(CAMERA)
    await also(client)
    await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=4)
    await client.until_state("CCD_EXPOSURE", "Busy")
    await client.switch(CAMERA, "CCD_ABORT_EXPOSURE", "ABORT")
    await client.until_state("CCD_EXPOSURE", "Idle")
    await client.until_state("CCD_ABORT_EXPOSURE", "Ok")
    await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=5)  # longer than the rest of the first exposure
    seen = await client.until_state("CCD_EXPOSURE", "Ok")
    assert "CCD_EXPOSURE_VALUE" in seen
    assert len(client.descriptors) == 1


async def test_a_second_exposure_replaces_the_first(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    client = clients((await serving(small)).unix())
    await client.connect(CAMERA)
    await also(client)
    await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=PATIENCE_S)
    await client.until_state("CCD_EXPOSURE", "Busy")
    _, header = await exposed(client, 0.05)
    assert header["EXPTIME"] == 0.05
    assert client.descriptors == []


@pytest.mark.parametrize("value", ["0", "1e9", "nan", "inf", "-1", "soon"])
async def test_impossible_exposures_give_an_alert(
    small: SimulatedRig, serving: Serving, clients: Wrap, value: str
) -> None:
    client = clients((await serving(small)).tcp())
    await client.connect(CAMERA)
    await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=value)
    assert 'message="CCD_EXPOSURE_VALUE: ' in await client.until_state("CCD_EXPOSURE", "Alert")


async def test_properties_exist_while_connected(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    client = clients((await serving(small)).tcp())
    await client.send('<getProperties version="1.7"/>')
    await client.until(f'device="{WHEEL}" name="POLLING_PERIOD".*?</defNumberVector>')
    await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=1)
    assert "not connected" in (await client.until('message="([^"]*)"')).group(1)
    await client.switch(CAMERA, "CONNECTION", "CONNECT")
    await client.until('<defNumberVector device="Coldframe Camera" name="CCD_EXPOSURE"')
    await client.until('<defBLOBVector device="Coldframe Camera" name="CCD1"')
    await client.switch(CAMERA, "CONNECTION", "DISCONNECT")
    await client.until('<delProperty device="Coldframe Camera" name="CCD_EXPOSURE"')
    await client.send(f'<getProperties version="1.7" device="{CAMERA}" name="CCD_EXPOSURE"/><pingRequest uid="a"/>')
    assert "def" not in (await client.until('<pingReply uid="a"/>')).string.split("delProperty")[-1].split("ping")[0]


async def test_blob_policies(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    server = await serving(small)
    control, never, only, named = (clients(server.unix()) for _ in range(4))
    await control.connect(CAMERA)
    for client in (never, only, named):
        await client.connect()
    await only.send(f"<enableBLOB device='{CAMERA}'>Only</enableBLOB><pingRequest uid='o'/>")
    await named.send(f"<enableBLOB device='{CAMERA}' name='CCD1'>Only</enableBLOB><pingRequest uid='n'/>")
    await only.until("<pingReply")
    await named.until("<pingReply")
    only.text = ""
    await control.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01)
    await only.until(BLOB_UNIX)
    assert "set" not in only.text.replace("</setBLOBVector>", "")
    await named.until(BLOB_UNIX)
    await named.until_state("CCD_EXPOSURE", "Ok")
    await never.until_state("CCD_EXPOSURE", "Ok")
    await control.until_state("CCD_EXPOSURE", "Ok")
    assert never.descriptors == control.descriptors == []


async def test_a_client_receives_only_requested_properties(
    small: SimulatedRig, serving: Serving, clients: Wrap
) -> None:
    server = await serving(small)
    control, narrow = clients(server.tcp()), clients(server.tcp())
    await narrow.send(f'<getProperties version="1.7" device="{WHEEL}"/>')
    await narrow.until("POLLING_PERIOD")
    await control.connect(PANEL, WHEEL)
    await control.number(PANEL, "FLAT_LIGHT_INTENSITY", FLAT_LIGHT_INTENSITY_VALUE=5)
    await control.until_state("FLAT_LIGHT_INTENSITY", "Ok")
    await control.number(WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=2)
    found = await narrow.until('name="FILTER_SLOT" state="Ok".*?>2<')
    assert PANEL not in found.string


async def test_regions_and_binning(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    client = clients((await serving(small)).unix())
    await client.connect(CAMERA)
    await also(client)
    await client.number(CAMERA, "CCD_FRAME", X=900, Y=0, WIDTH=100, HEIGHT=64)
    assert "exceeds" in await client.until_state("CCD_FRAME", "Alert")
    await client.number(CAMERA, "CCD_FRAME", X=100, Y=40, WIDTH=200, HEIGHT=100)
    await client.until_state("CCD_FRAME", "Ok")
    await client.number(CAMERA, "CCD_BINNING", HOR_BIN=2, VER_BIN=1)
    await client.until_state("CCD_BINNING", "Alert")
    await client.number(CAMERA, "CCD_BINNING", HOR_BIN=2, VER_BIN=2)
    await client.until_state("CCD_BINNING", "Ok")
    pixels, header = await exposed(client, 0.01)
    full = Sensor(small.sensor, small.seed).render(Exposure(1, 0.01, 0, 0, 18, 100, 50, 2))
    assert np.array_equal(pixels, full[20:70, 50:150])
    assert header["XBINNING"] == 2
    await client.switch(CAMERA, "CCD_FRAME_RESET", "RESET")
    assert ">960<" in await client.until_state("CCD_FRAME", "Ok")


async def test_the_cooler_reaches_its_setpoint(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    hasty = small.model_copy(update={"cooler": load_rig("small").cooler.model_copy(update={"time_constant_s": 0.5})})  # type: ignore[union-attr]
    client = clients((await serving(hasty)).tcp())
    await client.connect(CAMERA)
    await client.number(CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=-10)
    await client.until_state("CCD_COOLER", "Busy")
    await client.until_state("CCD_TEMPERATURE", "Busy")
    reached = await client.until_state("CCD_TEMPERATURE", "Ok")
    value = re.search(r">(-?[\d.]+)<", reached)
    assert value is not None
    assert float(value.group(1)) == pytest.approx(-10, abs=0.3)
    await client.switch(CAMERA, "CCD_COOLER", "COOLER_OFF")
    await client.until_state("CCD_COOLER", "Idle")
    await client.until_state("CCD_TEMPERATURE", "Idle")


async def test_panel_cover_and_wheel(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    client = clients((await serving(small)).tcp())
    await client.connect(PANEL, WHEEL)
    await client.switch(PANEL, "FLAT_LIGHT_CONTROL", "FLAT_LIGHT_ON")
    await client.until_state("FLAT_LIGHT_CONTROL", "Ok")
    await client.number(PANEL, "FLAT_LIGHT_INTENSITY", FLAT_LIGHT_INTENSITY_VALUE=300)
    assert "0 to 255" in await client.until_state("FLAT_LIGHT_INTENSITY", "Alert")
    await client.switch(PANEL, "CAP_PARK", "UNPARK")
    await client.until_state("CAP_PARK", "Busy")
    await client.number(WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=4)
    await client.until_state("FILTER_SLOT", "Busy")
    # Cover and wheel move at the same time; on a busy machine either may arrive first.
    assert '"UNPARK">On<' in (await client.find('name="CAP_PARK" state="Ok".*?</setSwitchVector>')).group()
    assert ">4<" in await client.until_state("FILTER_SLOT", "Ok")
    await client.number(WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=6)
    await client.until_state("FILTER_SLOT", "Alert")


async def test_a_colour_camera_defines_its_modes(serving: Serving, clients: Wrap) -> None:
    tiny = {"width": 64, "height": 48}
    colour, ccd = load_rig("cooled-osc"), load_rig("ccd-overscan")
    colour = colour.model_copy(update={"sensor": colour.sensor.model_copy(update=tiny)})
    ccd = ccd.model_copy(update={"sensor": ccd.sensor.model_copy(update=tiny)})
    first = clients((await serving(colour)).tcp())
    await first.connect(CAMERA)
    await first.until('name="CFA_TYPE"[^>]*>RGGB<')
    second = clients((await serving(ccd)).tcp())
    await second.connect(CAMERA)
    await second.until('name="Fast"')
    await second.switch(CAMERA, "READ_MODE", "Fast")
    assert '"Fast">On<' in await second.until_state("READ_MODE", "Ok")


async def test_a_slow_client_does_not_block_others(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    server = await serving(small)
    slow, brisk = clients(server.tcp()), clients(server.unix())
    await brisk.connect(CAMERA)
    await also(brisk)
    await slow.send('<getProperties version="1.7"/>')
    await also(slow)
    for _ in range(10):
        await exposed(brisk, 0.001)
    assert brisk.descriptors == []


async def test_clients_that_disconnect_or_send_garbage_do_no_harm(
    small: SimulatedRig, serving: Serving, clients: Wrap
) -> None:
    server = await serving(small)
    for junk in (b"", b"<getProperties", b"</nonsense>", b"\0\xff", b"GET / HTTP/1.1\r\n\r\n"):
        with server.tcp() as stream:
            stream.sendall(junk)
    client = clients(server.unix())
    await client.connect(CAMERA)
    await also(client)
    assert (await exposed(client, 0.01))[0].shape == (640, 960)


def test_a_bias_set_takes_only_the_cameras_time(small: SimulatedRig) -> None:
    async def scenario(client: RawClient) -> None:
        await client.switch(CAMERA, "CCD_FRAME_TYPE", "FRAME_BIAS")
        begin_s = now_s()
        for _ in range(20):
            await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.001)
            size = int((await client.until(BLOB_UNIX)).group(1))
            await client.until_state("CCD_EXPOSURE", "Ok")
            client.take_file(size)
        assert (now_s() - begin_s) / 20 < 1.1 * (0.000032 + small.timing.readout_s)

    in_virtual_time(small, scenario)


async def test_a_port_in_use_is_reported(small: SimulatedRig, serving: Serving) -> None:
    server = await serving(small)
    with pytest.raises(ServerStartError, match=f"127.0.0.1:{server.port}.*another port"):
        await serve(small, "127.0.0.1", server.port, None)
    other = new_address()
    with pytest.raises(ServerStartError, match="local socket"):
        await serve(small, "127.0.0.1", other.port, server.unix_socket)


async def stock(program: str, server: Server, *arguments: str) -> str:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed: apt install indi-bin")
    process = await asyncio.create_subprocess_exec(
        program, "-p", str(server.port), *arguments, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        out, _ = await process.communicate()
    return out.decode()


async def set_property(server: Server, assignment: str) -> None:
    await stock("indi_setprop", server, "-t", "60", assignment)


async def assert_shows(server: Server, *lines: str, prop: str = "*.*.*") -> None:
    """Query the server until it shows all of `lines`: rig and client may need time."""
    shown = ""
    async with asyncio.timeout(PATIENCE_S):
        while not all(line in shown for line in lines):
            shown = await stock("indi_getprop", server, "-t", "1", prop)


@pytest.mark.indi
async def test_stock_clients_control_the_rig(
    small: SimulatedRig, serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # indi_getprop writes the frames that it receives into its working folder
    server = await serving(small)
    for device in (CAMERA, PANEL, WHEEL):
        await set_property(server, f"{device}.CONNECTION.CONNECT=On")
    await set_property(server, f"{PANEL}.FLAT_LIGHT_INTENSITY.FLAT_LIGHT_INTENSITY_VALUE=42")
    await set_property(server, f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON=On")
    await set_property(server, f"{WHEEL}.FILTER_SLOT.FILTER_SLOT_VALUE=2")
    await set_property(server, f"{CAMERA}.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=0.000032")
    await assert_shows(
        server,
        f"{PANEL}.FLAT_LIGHT_INTENSITY.FLAT_LIGHT_INTENSITY_VALUE=42",
        f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON=On",
        f"{WHEEL}.FILTER_SLOT.FILTER_SLOT_VALUE=2",
        f"{WHEEL}.FILTER_NAME.FILTER_SLOT_NAME_5=Ha",
    )
    await assert_shows(server, f"{CAMERA}.CCD_EXPOSURE._STATE=Ok", prop=f"{CAMERA}.CCD_EXPOSURE._STATE")


@pytest.mark.indi
@pytest.mark.parametrize("path", ["unix", "tcp"])
async def test_the_driver_under_a_stock_indiserver(
    small: SimulatedRig, indiserver: Server, clients: Wrap, path: str
) -> None:
    client = clients(indiserver.unix() if path == "unix" else indiserver.tcp())
    await client.connect(CAMERA)
    await also(client)
    await client.switch(CAMERA, "CCD_FRAME_TYPE", "FRAME_BIAS")
    expected = Sensor(small.sensor, small.seed)
    for number in (1, 2):
        await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01)
        if path == "unix":
            size = int((await client.until(r'<oneBLOB[^>]* size="(\d+)"[^>]*attached="true"')).group(1))
            data = client.take_file(size)
        else:
            data = pybase64.b64decode((await client.until(r"<oneBLOB[^>]*>([^<]*)</oneBLOB>")).group(1))
        await client.until_state("CCD_EXPOSURE", "Ok")
        shot = Exposure(FRAMES_BEFORE + number, small.timing.shortest_exposure_s, gain=100, offset=50, sensor_c=18)
        assert np.array_equal(opened(data)[0], expected.render(shot))


@pytest.mark.indi
async def test_the_driver_needs_an_indiserver() -> None:
    driver = Path(sys.executable).with_name("indi_coldframe_rig")
    process = await asyncio.create_subprocess_exec(
        str(driver), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"indiserver indi_coldframe_rig" in said


PYINDI_CLIENT = """
import sys, threading, PyIndi

class Client(PyIndi.BaseClient):
    def __init__(self):
        super().__init__()
        self.got = threading.Event()
        self.size = 0
        self.asked = False
    def newProperty(self, p):
        if p.getName() == "CONNECTION" and p.getDeviceName() == "Coldframe Camera":
            self.connectDevice("Coldframe Camera")
        if p.getName() == "CCD1":
            self.setBLOBMode(PyIndi.B_ALSO, "Coldframe Camera", None)
            device = self.getDevice("Coldframe Camera")
            exposure = device.getNumber("CCD_EXPOSURE")
            exposure[0].setValue(0.05)
            self.sendNewProperty(exposure)
    def updateProperty(self, p):
        if p.getName() == "CCD1":
            self.size = len(PyIndi.PropertyBlob(p)[0].getblobdata())
            self.got.set()

client = Client()
client.setServer(sys.argv[1], int(sys.argv[2]))
assert client.connectServer()
done = client.got.wait(240)
client.disconnectServer()
print("received", client.size if done else 0)
"""


@pytest.mark.parametrize("path", ["unix", "tcp"])
async def test_pyindi_client_gets_a_frame(small: SimulatedRig, serving: Serving, path: str) -> None:
    server = await serving(small)
    host = f"localhost:{server.unix_socket}" if path == "unix" else "127.0.0.1"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PYINDI_CLIENT, host, str(server.port), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        out, _ = await process.communicate()
    size = 2 * 960 * 640
    received = int(out.decode().split("received")[-1])
    assert size < received < size + 4 * 2880


async def test_a_client_that_stops_reading_is_disconnected(
    small: SimulatedRig, serving: Serving, clients: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldframe.simulators.indi.serve.LONGEST_LAG", 16 << 20)
    server = await serving(small)
    deaf, other = clients(server.tcp()), clients(server.tcp())
    await deaf.connect()

    async def ask_on() -> None:
        while True:
            await deaf.send('<getProperties version="1.7"/>' * 10)
            await asyncio.sleep(0)

    # Each request is answered with all definitions; nothing is read, so a write blocks.
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ask_on(), PATIENCE_S)
    await other.connect(CAMERA)


async def test_an_error_with_one_client_does_not_affect_others(
    small: SimulatedRig, serving: Serving, clients: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serving(small)
    unlucky, other = clients(server.tcp()), clients(server.tcp())

    def fail(*_: object) -> None:
        raise RuntimeError("a mistake in a device")

    with monkeypatch.context() as broken:
        broken.setattr("coldframe.simulators.indi.serve.Bus.change", fail)
        await unlucky.switch(CAMERA, "CONNECTION", "CONNECT")
        assert not await unlucky.read()
    await other.connect(CAMERA)


async def test_the_server_survives_running_out_of_descriptors(
    small: SimulatedRig, serving: Serving, clients: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serving(small)
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, iter([OSError(24, "Too many open files")])

    async def accept_later(listener: socket.socket) -> tuple[socket.socket, object]:
        for failure in failures:
            raise failure
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", accept_later)
    # The first client is accepted by the pending call; the second one meets the failure.
    for _ in range(3):
        await clients(server.tcp()).connect()
    assert next(failures, None) is None
