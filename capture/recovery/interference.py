"""Detect changes to the camera's settings by another program. Restore the settings twice, and then abort the night."""

from dataclasses import fields

from coldframe.capture.events.values import Severity
from coldframe.capture.session.context import NightContext
from coldframe.config.frames import ReadoutSettings


def changed(wanted: ReadoutSettings, found: ReadoutSettings) -> str:
    """Return a list of the settings that differ, as text, for example "gain is 10 instead of 150"."""
    names = (field.name for field in fields(ReadoutSettings))
    differing = [name for name in names if getattr(wanted, name) != getattr(found, name)]
    return ", ".join(f"{name} is {_text(found, name)} instead of {_text(wanted, name)}" for name in differing)


def reclaim(context: NightContext, wanted: ReadoutSettings, found: ReadoutSettings) -> None:
    """Count and announce a change to the settings by another program. The caller must then reapply its own settings.

    Raises
    ------
    ContestedError
        If another program changed the settings too often.
    """
    what = f"{context.rig.camera.name}: {changed(wanted, found)}"
    context.retries.claims.reclaim(what)
    context.notice(Severity.WARNING, f"{what}: is another program using the camera? The settings are being restored")


def _text(settings: ReadoutSettings, name: str) -> str:
    value = getattr(settings, name)
    return f"{value:g}" if isinstance(value, float) else str(value)
