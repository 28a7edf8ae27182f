"""The computer on which a night runs.

`rig_lock` keeps a second run off the rig, `systemd` feeds the service's watchdog, and `memory` restarts the link to
the INDI server if it uses too much memory. This room does not depend on frames or steps.
"""
