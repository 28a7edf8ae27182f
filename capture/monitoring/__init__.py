"""The packages that show a night to the user: dashboard, web page, report, MQTT telemetry and notifications.

Start with `progress`, which turns events into sentences and into the state that the dashboard and telemetry show.
`watching` sends the events of a night to other terminals. These packages follow a night through the events of
`capture.events` and the journal, and never access a device. A night must be able to run without these packages, so only
the command line imports them.
"""
