"""Detect changes to the camera's settings by another program. Restore them twice, and then abort the night."""

from dataclasses import fields

from coldframe.capture.events.values import Severity
from coldframe.capture.session.context import NightContext
from coldframe.config.frames import ReadoutSettings


def changed(wanted: ReadoutSettings, found: ReadoutSettings) -> str:
    """Return which settings differ and how, for example "gain is 10 instead of 150"."""
    names = (field.name for field in fields(ReadoutSettings))
    differing = [name for name in names if getattr(wanted, name) != getattr(found, name)]
    return ", ".join(f"{name} is {_text(found, name)} instead of {_text(wanted, name)}" for name in differing)


def reclaim(context: NightContext, wanted: ReadoutSettings, found: ReadoutSettings) -> None:
    """Count and announce a change to the settings by another program. The caller then applies its own settings again.

    Raises
    ------
    ContestedError
        If another program changed the settings too often.
    """
    what = f"{context.rig.camera.name}: {changed(wanted, found)}"
    context.retries.claims.reclaim(what)
    context.notice(Severity.WARNING, f"{what}: does another program use the camera? The settings are restored")


def _text(settings: ReadoutSettings, name: str) -> str:
    value = getattr(settings, name)
    return f"{value:g}" if isinstance(value, float) else str(value)
