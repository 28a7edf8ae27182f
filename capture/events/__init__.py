"""Define the events of a night, and deliver them.

Start with `kinds`, where each class is one kind of event, with its name in the journal, on the watch socket and over
MQTT; `verification` and `rotator` add one kind each, and `previews` defines the pictures of frames, which are shown but
not journalled. `values` defines the outcomes, causes and planned steps that events carry, and `stream` delivers events
to subscribers. The night publishes events. The journal, dashboard, telemetry, report and notifications use only these
events. Programs base decisions on the fields of an event; the texts in events are for the user. This package uses no
files, devices or clocks.
"""

from coldframe.capture.events import rotator, verification  # registers their kinds before a journal is read

__all__ = ["rotator", "verification"]
