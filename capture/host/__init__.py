"""Watch the computer on which a night runs.

`rig_lock` prevents a second run on the rig, `systemd` feeds the service's watchdog, and `memory` restarts the link to
the INDI server if the link uses too much memory. This package does not depend on frames or steps.
"""
