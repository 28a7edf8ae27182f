"""The rig that a configuration describes, with the devices of its INDI server."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from coldframe.config.settings import Settings
from coldframe.config.tables.rig import PanelSettings, RotatorSettings, ServerSettings
from coldframe.devices.camera import StrayFrame
from coldframe.devices.flat_panel import FlatPanel
from coldframe.devices.indi.auxiliary import IndiAuxiliary
from coldframe.devices.indi.camera import IndiCamera, log_stray
from coldframe.devices.indi.connection import IndiConnection
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from coldframe.devices.indi.turning.rotator import IndiRotator
from coldframe.devices.indi.turning.wheel import IndiFilterWheel
from coldframe.devices.manual_panel import ManualPanel
from coldframe.devices.rig import Rig


def server_address(server: ServerSettings) -> ServerAddress:
    """Return the server's address, including its local socket only if the server is on this machine."""
    return ServerAddress(server.host, server.port, server.unix_socket if server.is_local else None)


async def _opened_panel(link: IndiLink, panel: PanelSettings, opened: AsyncExitStack) -> FlatPanel:
    if panel.kind == "manual":
        return ManualPanel(panel.device)
    if panel.mqtt is not None:
        from coldframe.devices.mqtt.panel import MqttPanel  # noqa: PLC0415  # few rigs need an MQTT client

        return await opened.enter_async_context(MqttPanel(panel.device, panel.mqtt))
    return IndiFlatPanel(link, panel.device, panel.cover_deadline_s)


def _rotator(link: IndiLink, rotator: RotatorSettings) -> IndiRotator:
    return IndiRotator(link, rotator.device, rotator.tolerance_deg, rotator.turn_deadline_s)


@asynccontextmanager
async def indi_rig(
    settings: Settings, now: Callable[[], datetime], set_aside: Callable[[StrayFrame], None] = log_stray
) -> AsyncIterator[Rig]:
    """Open the link to the server, and the connection to the broker of an MQTT panel, for the duration of the block.

    The devices are not yet connected. `set_aside` is called with every delivery from the camera that is not a requested
    frame.
    """
    async with IndiLink(settings.server.host, settings.server.port) as link, AsyncExitStack() as opened:
        camera = IndiCamera(
            link,
            settings.camera.device,
            server_address(settings.server),
            now,
            readout_deadline_s=settings.camera.readout_deadline_s,
            file_format=settings.camera.file_format,
            set_aside=set_aside,
        )
        try:
            yield Rig(
                camera,
                panel=await _opened_panel(link, settings.panel, opened) if settings.panel else None,
                cover=IndiFlatPanel(link, settings.cover.device, settings.cover.deadline_s) if settings.cover else None,
                wheel=IndiFilterWheel(
                    link, settings.wheel.device, settings.wheel.names or (), settings.wheel.turn_deadline_s
                )
                if settings.wheel
                else None,
                rotator=_rotator(link, settings.rotator) if settings.rotator else None,
                connection=IndiConnection(link, is_local=settings.server.is_local),
                auxiliaries=tuple(IndiAuxiliary(link, each) for each in settings.auxiliaries),
            )
        finally:
            await camera.leave()
