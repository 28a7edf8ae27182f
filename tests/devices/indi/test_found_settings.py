"""The driver's settings that coldframe changed are restored when it leaves the camera."""

import pytest

from coldframe.config.frames import FrameKind
from coldframe.devices.indi.camera import IndiCamera
from tests.devices.indi.fake_server import CAMERA, FakeServer, switch
from tests.patience import until

CHANGED = {
    "UPLOAD_MODE": {"UPLOAD_LOCAL": True, "UPLOAD_CLIENT": False},
    "CCD_COMPRESSION": {"INDI_ENABLED": True, "INDI_DISABLED": False},
}


@pytest.fixture
def server(server: FakeServer) -> FakeServer:
    server.switches |= CHANGED
    server.numbers["POLLING_PERIOD"] = {"PERIOD_MS": (10.0, 600000.0, 1000.0)}
    return server


async def test_the_found_settings_are_restored(server: FakeServer, camera: IndiCamera) -> None:
    await camera.expose(FrameKind.BIAS, 0.0)
    assert server.ordered("POLLING_PERIOD") == [{"PERIOD_MS": "50"}]
    server.orders.clear()
    await camera.leave()
    assert dict(server.orders) == {
        "UPLOAD_MODE": {"UPLOAD_LOCAL": "On"},
        "CCD_COMPRESSION": {"INDI_ENABLED": "On"},
        "POLLING_PERIOD": {"PERIOD_MS": "1000"},
        "CCD_FRAME_TYPE": {"FRAME_DARK": "On"},
    }


async def test_settings_that_did_not_change_are_left_alone(server: FakeServer, camera: IndiCamera) -> None:
    await camera.leave()
    server.orders.clear()
    await camera.leave()
    assert server.orders == []


async def test_a_driver_that_restarted_gets_the_settings_of_the_first_set_up(
    server: FakeServer, camera: IndiCamera
) -> None:
    server.send(f'<delProperty device="{CAMERA}"/>')
    await until(lambda: not camera.is_ready)
    server.numbers["POLLING_PERIOD"] = {"PERIOD_MS": (10.0, 600000.0, 500.0)}
    server.send(server.definitions())
    await camera.ensure_ready()
    await camera.leave()
    assert server.ordered("POLLING_PERIOD")[-1] == {"PERIOD_MS": "1000"}


async def test_a_setting_that_is_refused_does_not_keep_the_others_from_being_restored(
    server: FakeServer, camera: IndiCamera, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_values: dict[str, str]) -> None:
        server.send(switch("UPLOAD_MODE", "Alert", UPLOAD_LOCAL=False, UPLOAD_CLIENT=True))

    server.answers["UPLOAD_MODE"] = refuse
    await camera.leave()
    assert server.ordered("POLLING_PERIOD")[-1] == {"PERIOD_MS": "1000"}
    assert "this setting differs from its value before the night" in caplog.text


async def test_a_lost_server_does_not_delay_the_end(server: FakeServer, camera: IndiCamera) -> None:
    await server.hang_up()
    await until(lambda: not camera.link.connected)
    await camera.leave()
    assert camera.transport == ""
