"""Everything that shows a night to people: dashboard, report, MQTT telemetry, notifications.

Start with `progress`, which turns events into sentences and into the state that dashboard and telemetry show.
`watching` carries a night to other terminals. All of it lives on the events of `capture.events` and on the journal;
it never touches a device, and a night must run without it: only the command line imports these rooms.
"""
