"""Watching a rig through its broker."""

import asyncio
from collections.abc import AsyncIterator

from coldframe.capture.events import Event
from coldframe.capture.telemetry.broker import Access, BrokerLostError, connected
from coldframe.capture.telemetry.following import Follower
from coldframe.capture.telemetry.telemetry import FIRST_PAUSE_S, LONGEST_PAUSE_S
from coldframe.capture.telemetry.topics import Topics, topic_part
from coldframe.config.mqtt import MqttSettings

LARGEST_MESSAGE = 2_000_000


async def watched(settings: MqttSettings, access: Access, rig: str) -> AsyncIterator[Event | BrokerLostError | str]:
    """Yield a rig's night as the broker tells it: first what happened so far, then what happens.

    Parameters
    ----------
    settings, access
        The broker.
    rig
        Name of the rig, as in its own settings.

    Yields
    ------
    Event, BrokerLostError or str
        An event; why the broker is not reached, after which it is tried again; or a new word of the status topic
        (`Presence`).
    """
    follower = Follower(Topics(f"{settings.base_topic}/{topic_part(rig)}"))
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            async with connected(access, name=None, largest_incoming=LARGEST_MESSAGE) as broker:
                pause_s = FIRST_PAUSE_S
                await broker.subscribe(follower.wanted)
                async for received in broker.messages():
                    before = follower.presence
                    for event in follower.take(received.topic, received.payload):
                        yield event
                    if follower.presence != before:
                        yield follower.presence
        except BrokerLostError as error:
            yield error
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
