"""Draw nights on which drivers delete and redefine their properties. The same seed gives the same night."""

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch
from xml.etree.ElementTree import Element, SubElement

from coldframe.capture.clock import NightClock
from coldframe.capture.events.stream import EventStream
from coldframe.config.simulated_rig import load_rig
from coldframe.simulators.cards import CAMERA_NAME, PANEL_NAME, WHEEL_NAME
from coldframe.simulators.indi.requests import NewVector
from tests.nights.disk import SimulatedDisk
from tests.nights.nights import START, Inline, tiny
from tests.nights.random_nights import LONGEST_NIGHT_S, LONGEST_RUN_S, TroubledNight, TroubledRun, alarm, shoot
from tests.nights.test_troubled_nights import three_sets
from tests.nights.virtual_time import VirtualTimeLoop
from tests.nights.wired import TAG, WiredServer, wired_rig
from tests.nights.witness import WitnessedTelescope

PROPERTIES = {
    CAMERA_NAME: (
        "CONNECTION",
        "CCD_EXPOSURE",
        "CCD_ABORT_EXPOSURE",
        "CCD_FRAME_TYPE",
        "CCD_INFO",
        "ADC_DEPTH",
        "CCD_FRAME",
        "CCD_BINNING",
        "CCD1",
        "UPLOAD_MODE",
        "CCD_COMPRESSION",
        "CCD_TEMPERATURE",
        "CCD_COOLER",
        "CCD_COOLER_POWER",
        "CCD_CONTROLS",
        "POLLING_PERIOD",
    ),
    PANEL_NAME: ("CONNECTION", "FLAT_LIGHT_CONTROL", "FLAT_LIGHT_INTENSITY", "CAP_PARK"),
    WHEEL_NAME: ("CONNECTION", "FILTER_SLOT", "FILTER_NAME"),
}
CHOICES = tuple((device, name) for device, names in PROPERTIES.items() for name in names)
EXAMPLES = {"Number": "1", "Switch": "Off", "Text": "text", "Light": "Ok", "BLOB": ""}
VALUES = ("nan", "inf", "-inf", "1e308", "-1e308", "0", "-1", "", "-273.15", "été 滤镜 \x85\u202e", "x" * 20_000)
LABELS = ("", "Größe 滤镜", "\u202e\u200b", "x" * 300, "A.B.C", "<&'\">")
LIMITS = ("0", "-1", "1e308", "nan", "inf", "-inf", "5", "1e-300")

Alteration = Callable[[Element], None]
"""Alters a definition or an update of a property."""


def keep(message: Element) -> None:
    """Alter nothing."""
    del message


def retyped(kind: str) -> Alteration:
    def alter(message: Element) -> None:
        tag = TAG.fullmatch(message.tag)
        assert tag is not None
        message.tag = f"{tag[1]}{kind}Vector"
        for each in message:
            each.tag = ("def" if tag[1] == "def" else "one") + kind
            each.text = EXAMPLES[kind] if kind != tag[2] else each.text

    return alter


def without(place: int) -> Alteration:
    def alter(message: Element) -> None:
        if len(message):
            message.remove(message[place % len(message)])

    return alter


def renamed(place: int, name: str) -> Alteration:
    def alter(message: Element) -> None:
        if len(message):
            message[place % len(message)].set("name", name)

    return alter


def extended(name: str, *, first: bool) -> Alteration:
    def alter(message: Element) -> None:
        if len(message):
            more = SubElement(message, message[0].tag, dict(message[0].attrib, name=name))
            more.text = message[0].text
            if first:
                message.remove(more)
                message.insert(0, more)

    return alter


def with_attributes(*, parts: bool, **attributes: str) -> Alteration:
    def alter(message: Element) -> None:
        for each in message if parts else [message]:
            for name, value in attributes.items():
                if name in each.attrib:
                    each.set(name, value)

    return alter


def valued(text: str) -> Alteration:
    def alter(message: Element) -> None:
        for each in message:
            if "Number" in each.tag:
                each.text = text if _is_number(text) else "nan"
            elif "Switch" in each.tag:
                each.text = "On" if len(text) % 2 else "Off"
            else:
                each.text = text

    return alter


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def drawn_alteration(random: Random) -> tuple[str, Alteration]:
    """Return an alteration and its description."""
    place, low, high = random.randrange(4), random.choice(LIMITS), random.choice(LIMITS)
    kind = random.choice(("Number", "Switch", "Text", "Light"))
    permission, state = random.choice(("ro", "wo", "rw")), random.choice(("Idle", "Ok", "Busy", "Alert"))
    text, label = random.choice(VALUES), random.choice(LABELS)
    return random.choice(
        (
            (f"type {kind}", retyped(kind)),
            (f"without element {place}", without(place)),
            (f"element {place} renamed", renamed(place, random.choice(("OTHER", "名", "")))),
            ("one more element", extended("MORE", first=random.random() < 0.5)),
            (f"permission {permission}", with_attributes(parts=False, perm=permission)),
            ("rule AnyOfMany", with_attributes(parts=False, rule="AnyOfMany")),
            (f"state {state}", with_attributes(parts=False, state=state)),
            (f"limits {low} to {high}", with_attributes(parts=True, min=low, max=high)),
            (f"values {text[:12]!r}", valued(text)),
            (f"labels {label[:12]!r}", with_attributes(parts=True, label=label)),
        )
    )


@dataclass
class Redefinition:
    """A property that its driver deletes and then redefines.

    Attributes
    ----------
    after_s, at_order
        Time at which this happens; or, if `at_order` is positive, the number of the order on the property at which it
        happens, while the order is pending.
    gone_s, lasts_s
        Time until the property is defined again, and until it is redefined as before.
    alterations
        What is different, with descriptions. With two of them, the property is redefined twice.
    answer
        What happens to orders meanwhile: "obey", "ignore" or "refuse".
    """

    device: str
    name: str
    after_s: float
    at_order: int
    gone_s: float
    lasts_s: float
    alterations: list[tuple[str, Alteration]]
    answer: str = "obey"
    orders: int = 0
    met: int = 0
    is_active: bool = False
    is_gone: bool = False

    def __str__(self) -> str:
        when = f"at its order {self.at_order}" if self.at_order else f"after {self.after_s:.0f} s"
        what = ", then ".join(text for text, _ in self.alterations)
        gone = f"gone {self.gone_s:.1f} s"
        return f"{self.device}.{self.name} {when}, {gone}, {what} for {self.lasts_s:.0f} s, {self.answer}"


@dataclass
class Redefiner:
    """Drivers that redefine their properties."""

    server: WiredServer
    redefinitions: list[Redefinition]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self) -> None:
        self.server.rewrite = self._rewrite
        self.server.intercept = self._intercept
        for each in self.redefinitions:
            if not each.at_order:
                self._begin(each, each.after_s)

    def stop(self) -> None:
        for task in self.tasks:
            task.cancel()

    def _begin(self, redefinition: Redefinition, after_s: float) -> None:
        self.tasks.add(asyncio.create_task(self._redefine(redefinition, after_s), name="redefinition"))

    async def _redefine(self, each: Redefinition, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if each.is_active or not self.server.definition(each.device, each.name):
            return
        alterations = each.alterations
        each.met, each.is_active = each.met + 1, True
        for number in range(len(alterations)):
            each.alterations = alterations[number:]
            self._delete(each)
            await asyncio.sleep(each.gone_s)
            self._define(each)
        await asyncio.sleep(each.lasts_s)
        self._delete(each)
        each.is_active, each.alterations = False, alterations
        await asyncio.sleep(each.gone_s)
        self._define(each)

    def _delete(self, each: Redefinition) -> None:
        each.is_gone = True
        self.server.send(Element("delProperty", device=each.device, name=each.name))

    def _define(self, each: Redefinition) -> None:
        each.is_gone = False
        for message in self.server.definition(each.device, each.name):
            for rewritten in self._rewrite(message):
                self.server.send(rewritten)

    def _of(self, device: str, name: str) -> list[Redefinition]:
        return [each for each in self.redefinitions if (each.device, each.name) == (device, name)]

    def _rewrite(self, message: Element) -> list[Element]:
        if TAG.fullmatch(message.tag) is None:
            return [message]
        altered = copy.deepcopy(message)
        for each in self._of(message.get("device", ""), message.get("name", "")):
            if each.is_gone:
                return []
            if each.is_active:
                each.alterations[0][1](altered)
        return [altered]

    def _intercept(self, order: NewVector) -> bool:
        """Return True if the device does not receive an order."""
        is_intercepted = False
        for each in self._of(order.device, order.name):
            each.orders += 1
            if each.orders == each.at_order:
                self._begin(each, 0.0)
            if each.is_active and each.answer != "obey":
                is_intercepted = True
                if each.answer == "refuse" and not each.is_gone:
                    self._refuse(each)
        return is_intercepted

    def _refuse(self, each: Redefinition) -> None:
        for message in self.server.definition(each.device, each.name):
            message.tag = message.tag.replace("def", "set")
            for part in message:
                part.tag = part.tag.replace("def", "one")
            for rewritten in self._rewrite(message):
                rewritten.set("state", "Alert")
                rewritten.set("message", "refused while redefined")
                self.server.send(rewritten)


def draw_redefinitions(seed: int) -> list[Redefinition]:
    random = Random(f"redefining {seed}")
    count = random.choice([1, 1, 1, 2, 3])
    return [_drawn(random, *CHOICES[(seed + 7 * number) % len(CHOICES)]) for number in range(count)]


def _drawn(random: Random, device: str, name: str) -> Redefinition:
    return Redefinition(
        device=device,
        name=name,
        after_s=random.uniform(0, 60),
        at_order=random.choice([0, 0, 1, 2, 4, 8]),
        gone_s=random.choice([0.0, 0.0, 0.5, 20.0]),
        lasts_s=random.choice([0.5, 15.0, 200.0, 1e6]),
        alterations=[drawn_alteration(random) for _ in range(random.choice([1, 1, 2]))],
        answer=random.choice(["obey", "obey", "ignore", "refuse"]),
    )


@contextmanager
def run(redefinitions: list[Redefinition], seed: int = 0) -> Iterator[TroubledRun]:
    """Run a night, whose files exist for the duration of the block."""
    title = tuple(map(str, redefinitions))
    night = TroubledNight(seed, three_sets(), tiny(load_rig("small")), title, {}, None, knows_the_rig=False)
    with TemporaryDirectory(prefix="coldframe-night-") as scratch, patch("coldframe.calibration.threads.pool", Inline):
        disk = SimulatedDisk(Path(scratch).resolve())
        with alarm(), asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(LONGEST_NIGHT_S, LONGEST_RUN_S)) as runner:
            left = runner.run(_watched(night, disk, redefinitions))
        yield left


async def _watched(night: TroubledNight, disk: SimulatedDisk, redefinitions: list[Redefinition]) -> TroubledRun:
    clock, events = NightClock(START), EventStream()
    telescope = WitnessedTelescope(night.rig, asyncio.get_running_loop().time())
    server = WiredServer(telescope)
    redefiner = Redefiner(server, redefinitions)
    left = TroubledRun(night, disk.root, telescope, {}, disk)
    async with wired_rig(night.settings, server, clock.now) as rig:
        await rig.connect()
        redefiner.start()
        try:
            await shoot(left, rig, events, clock)
        finally:
            redefiner.stop()
        # The simulated devices' tasks have no names, and outlive the night.
        left.leftovers = [name for name in left.leftovers if not name.startswith(("Task-", "redefinition"))]
    return left
