"""The rig beside the stock simulators of libindi, for clients that rely on what these do."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket

import pytest
from astropy.io import fits

from coldframe.config.simulated_rig import SimulatedRig
from tests.indi import servers
from tests.simulators.conftest import CAMERA, PANEL, WHEEL, RawClient, Serving

Wrap = Callable[[socket], RawClient]

COMMON = {
    (servers.CAMERA, CAMERA): (
        "CONNECTION", "DRIVER_INFO", "POLLING_PERIOD", "CCD_EXPOSURE", "CCD_ABORT_EXPOSURE", "CCD_FRAME_TYPE",
        "CCD_INFO", "CCD_FRAME", "CCD_FRAME_RESET", "CCD_BINNING", "CCD1", "CCD_TRANSFER_FORMAT", "CCD_COMPRESSION",
        "UPLOAD_MODE", "CCD_TEMPERATURE", "CCD_COOLER",
    ),
    (servers.PANEL, PANEL): ("FLAT_LIGHT_CONTROL", "FLAT_LIGHT_INTENSITY"),
    (servers.WHEEL, WHEEL): ("FILTER_SLOT", "FILTER_NAME"),
}  # fmt: skip
"""Properties that a stock simulator and the rig's device both have."""

OF_OTHERS = {"EXTEND", "COMMENT", "ROTATANG"}
"""Cards that the library for FITS files and a rotator add to the frames of the stock simulator."""

BLOB = r'<oneBLOB name="CCD1" size="(\d+)"[^>]*attached="true"\s*/>'


@pytest.fixture
def both(tmp_path: Path, clients: Wrap) -> Iterator[RawClient]:
    """Yield a client of a stock indiserver with the stock simulators and the rig."""
    with servers.indiserver(tmp_path, (*servers.STOCK_DRIVERS, servers.OUR_DRIVER)) as server:
        stream = socket(AF_UNIX, SOCK_STREAM)
        stream.connect("\0" + server.unix_socket)
        yield clients(stream)


async def definition(client: RawClient, device: str, name: str) -> str:
    return (await client.find(rf'<def\w+Vector device="{device}" name="{name}".*?</def\w+Vector>')).group()


def labels(defined: str) -> dict[str, str]:
    """Return the label of the property as "", and the labels of its elements."""
    head, *elements = re.findall(r'<def\w+\s[^>]*?\bname="([^"]*)"\s+label="([^"]*)"', defined)
    return {"": head[1]} | dict(elements)


async def exposed(client: RawClient, camera: str, kind: str, exposure_s: float) -> fits.Header:
    await client.switch(camera, "CCD_FRAME_TYPE", kind)
    await client.number(camera, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=exposure_s)
    size = int((await client.until(BLOB)).group(1))
    await client.until(f'device="{camera}" name="CCD_EXPOSURE" state="Ok"')
    return fits.getheader(io.BytesIO(client.take_file(size)))


@pytest.mark.indi
async def test_labels_are_those_of_libindi(both: RawClient) -> None:
    await both.send('<getProperties version="1.7"/>')
    for device in (device for pair in COMMON for device in pair):
        await both.find(f'device="{device}" name="CONNECTION"')
        await both.switch(device, "CONNECTION", "CONNECT")
    for (theirs, ours), names in COMMON.items():
        for name in names:
            stock, rig = labels(await definition(both, theirs, name)), labels(await definition(both, ours, name))
            assert {key: stock.get(key) for key in rig} == rig, name


@pytest.mark.indi
async def test_frames_have_the_cards_of_libindi(both: RawClient) -> None:
    await both.connect(servers.CAMERA, CAMERA)
    headers = []
    for camera in (servers.CAMERA, CAMERA):
        await both.send(f"<enableBLOB device='{camera}'>Also</enableBLOB>")
        bias = await exposed(both, camera, "FRAME_BIAS", 0.0)
        assert "DARKTIME" not in bias
        headers.append(await exposed(both, camera, "FRAME_DARK", 0.05))
        assert headers[-1]["DARKTIME"] == 0.05
    stock, rig = headers
    assert set(stock) - set(rig) <= OF_OTHERS
    assert rig["TELESCOP"] == "Coldframe Telescope"
    assert rig["OBJECT"] == rig["OBSERVER"] == "Unknown"


async def test_blobs_need_no_get_properties(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    server = await serving(small)
    control = clients(server.unix())
    await control.connect(CAMERA)
    requests = (f"device='{CAMERA}'", f"device='{CAMERA}' name='CCD1'")
    others = [clients(server.unix()) for _ in requests]
    for other, request in zip(others, requests, strict=True):
        await other.send(f"<enableBLOB {request}>Also</enableBLOB><pingRequest uid='1'/>")
        await other.until("<pingReply")
    await control.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01)
    for other in others:
        await other.until(BLOB)
    await others[0].until_state("CCD_EXPOSURE", "Ok")
    assert "CCD_EXPOSURE" not in others[1].text


async def test_a_change_subscribes_to_its_answers(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    client = clients((await serving(small)).tcp())
    await client.switch(PANEL, "CONNECTION", "CONNECT")
    await client.until_state("CONNECTION", "Ok")


async def test_a_bias_frame_of_no_exposure_has_the_shortest(
    small: SimulatedRig, serving: Serving, clients: Wrap
) -> None:
    client = clients((await serving(small)).unix())
    await client.connect(CAMERA)
    await client.send(f"<enableBLOB device='{CAMERA}'>Also</enableBLOB>")
    header = await exposed(client, CAMERA, "FRAME_BIAS", 0.0)
    assert header["EXPTIME"] == small.timing.shortest_exposure_s
    await client.switch(CAMERA, "CCD_FRAME_TYPE", "FRAME_DARK")
    await client.number(CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0)
    assert "out of range" in await client.until_state("CCD_EXPOSURE", "Alert")


async def send_card(client: RawClient, keyword: str, value: str) -> None:
    parts = f"<oneText name='KEYWORD_NAME'>{keyword}</oneText><oneText name='KEYWORD_VALUE'>{value}</oneText>"
    await client.send(f"<newTextVector device='{CAMERA}' name='FITS_HEADER'>{parts}</newTextVector>")


async def test_clients_add_cards(small: SimulatedRig, serving: Serving, clients: Wrap) -> None:
    client = clients((await serving(small)).unix())
    await client.connect(CAMERA)
    await client.send(f"<enableBLOB device='{CAMERA}'>Also</enableBLOB>")
    for keyword, value in (("object", "M 31"), ("FOCALLEN", "530"), ("APTDIA", "-0.5")):
        await send_card(client, keyword, value)
        await client.until_state("FITS_HEADER", "Ok")
    header = await exposed(client, CAMERA, "FRAME_LIGHT", 0.01)
    assert (header["OBJECT"], header["FOCALLEN"], header["APTDIA"]) == ("M 31", 530, -0.5)
    await send_card(client, "INDI_CLEAR", "")
    await client.until_state("FITS_HEADER", "Ok")
    assert (await exposed(client, CAMERA, "FRAME_LIGHT", 0.01))["OBJECT"] == "Unknown"


@pytest.mark.parametrize(("keyword", "value"), [("NAXIS", "3"), ("TOO LONG A NAME", "1"), ("OBJECT", "é"), ("", "")])
async def test_cards_that_would_damage_the_file_are_refused(
    small: SimulatedRig, serving: Serving, clients: Wrap, keyword: str, value: str
) -> None:
    client = clients((await serving(small)).tcp())
    await client.connect(CAMERA)
    await send_card(client, keyword, value)
    assert "FITS_HEADER" in await client.until_state("FITS_HEADER", "Alert")
