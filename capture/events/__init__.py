"""The events of a night.

Start with `kinds`, where each class is one kind of event, with its name in the journal, on the watch socket and over
MQTT. `values` defines the outcomes, causes and planned steps that events carry, and `stream` delivers events to
subscribers. The night publishes events; the journal, dashboard, telemetry, report and notifications use nothing else.
Code makes decisions by the fields of an event; texts in events are for the user. This room uses no file, no device and
no clock.
"""
