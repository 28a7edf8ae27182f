"""Make the pictures of README and guides from a real night on the simulated rig: `python docs/make_pictures.py`.

The night goes into a temporary folder. While it runs, the dashboard is drawn as SVG at the moments named below.
"""

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from coldframe.capture.clock import NightClock
from coldframe.capture.dashboard.state import DashboardState
from coldframe.capture.dashboard.view import snapshot_svg
from coldframe.capture.events import Event, EventStream, FrameAccepted, NightStarted
from coldframe.capture.learned_flats import LearnedFlats
from coldframe.capture.night import Night
from coldframe.capture.night_folder import NightFolder
from coldframe.cli.simulated_server import simulated_server
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.devices.indi.rig import indi_rig

PICTURES = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (120, 40), (200, 50))
SHOWN_STEP, SHOWN_FRAME = "flat Ha", 12


class Photographer:
    """Draws the dashboard once, when the wanted frame was accepted."""

    def __init__(self) -> None:
        self._state = DashboardState()
        self._wanted = 0

    def __call__(self, event: Event) -> None:
        """Take an event in, and draw at the right one."""
        self._state.apply(event)
        match event:
            case NightStarted():
                self._wanted = next(step.number for step in event.steps if step.title == SHOWN_STEP)
            case FrameAccepted(step=step, index=index) if (step, index) == (self._wanted, SHOWN_FRAME):
                self._draw()

    def _draw(self) -> None:
        PICTURES.mkdir(exist_ok=True)
        for width, height in SIZES:
            svg = snapshot_svg(self._state, width, height, datetime.now(UTC).astimezone())
            (PICTURES / f"dashboard-{width}x{height}.svg").write_text(svg, encoding="utf-8")


async def main() -> None:
    """Run the night and draw."""
    settings = load_settings(example_night("small"))
    clock, events = NightClock(), EventStream()
    events.subscribe(Photographer())
    async with simulated_server("small") as server:
        settings = settings.model_copy(update={"server": server})
        async with indi_rig(settings, clock.now) as rig:
            await rig.connect()
            with tempfile.TemporaryDirectory() as folder:
                night = Night(
                    settings,
                    rig,
                    folder=NightFolder.create(Path(folder) / "coldframe", clock.now()),
                    learned=LearnedFlats(Path(folder) / "learned-flats.json"),
                    events=events,
                    clock=clock,
                )
                await night.run()


if __name__ == "__main__":
    asyncio.run(main())
