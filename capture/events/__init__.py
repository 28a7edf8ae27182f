"""The events of a night.

Start with `kinds`: each class is one kind of event, with its name in the journal, on the watch socket and over MQTT.
`values` has the outcomes, causes and planned steps that events carry, and `stream` delivers events to subscribers.
The night publishes events; journal, dashboard, telemetry, report and notifications need nothing else. Programs decide
by the fields of an event; its texts are for people. This room knows no file, no device and no clock.
"""
