"""What happens during a night, as values.

Start with `kinds`: each class is one kind of event, with the name that it has in the journal, on the watch socket and
over MQTT. `stream` delivers events to subscribers. The night publishes them; journal, dashboard, telemetry, report
and notifications live on nothing else. An event carries in fields what programs decide by: its sentences are for
people. This room knows no file, no device and no clock.
"""
