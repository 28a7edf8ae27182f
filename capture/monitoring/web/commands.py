"""Commands that browsers send to the night. They are the same commands that the dashboard's keys send."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus

from coldframe.capture.events.kinds import NightStarted
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.watching.messages import Answer, Command, MessageError, Request, decode_command
from coldframe.capture.monitoring.watching.source import Detached, NightSource, Update
from coldframe.capture.monitoring.watching.watched_night import WatchedNight

ANSWER_S = 15.0
"""Maximum time that a run may take to answer a command."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a browser."""

    status: HTTPStatus
    text: str


def night_id(night: NightStarted) -> str:
    """Return an identifier that distinguishes a night from the nights before and after it."""
    return night.at.isoformat()


class Commands:
    """The commands sent to the night, matched with the night's answers.

    Parameters
    ----------
    source
        The run to which the commands are sent. It answers commands in the order in which they were sent.
    night
        The night that the browsers see.
    """

    def __init__(self, source: NightSource, night: WatchedNight) -> None:
        self._source = source
        self._night = night
        self._open = deque[asyncio.Future[str]]()

    def take(self, update: Update) -> None:
        """Process an update. An answer closes the oldest open command, and a lost run closes all open commands."""
        if isinstance(update, Answer) and self._open:
            _resolve(self._open.popleft(), update.text)
        elif isinstance(update, Detached):
            while self._open:
                _resolve(self._open.popleft(), update.reason)

    async def send(self, body: bytes) -> Reply:
        """Send a command, and return the night's answer.

        Parameters
        ----------
        body
            A command in the format of the watch socket. It states the `night_id` of the night that the browser was
            showing when the user gave the command, so that the command cannot reach the next night.
        """
        try:
            command = decode_command(body)
            shown = json.loads(body).get("night")
        except MessageError as error:
            return Reply(HTTPStatus.BAD_REQUEST, printable(str(error)))
        if command.request is Request.SKIP and command.step is None:
            return Reply(HTTPStatus.BAD_REQUEST, "the number of the step to skip is missing")
        state = self._night.state
        if state.night is None or state.ended is not None or shown != night_id(state.night):
            return Reply(HTTPStatus.CONFLICT, "the night that you saw is over; nothing was sent")
        return await self._pass_on(command)

    async def _pass_on(self, command: Command) -> Reply:
        if refusal := self._night.refusal or self._source.send(command):
            return Reply(HTTPStatus.CONFLICT, refusal)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._open.append(answer)
        try:
            async with asyncio.timeout(ANSWER_S):
                # Keep the place in the queue; otherwise, a late answer would be taken for the next command's answer.
                return Reply(HTTPStatus.OK, printable(await asyncio.shield(answer)))
        except TimeoutError:
            return Reply(HTTPStatus.GATEWAY_TIMEOUT, "the run has not answered yet; watch the page for the effect")


def _resolve(answer: asyncio.Future[str], text: str) -> None:
    if not answer.done():
        answer.set_result(text)
