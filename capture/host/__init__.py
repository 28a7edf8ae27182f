"""The computer on which a night runs.

`rig_lock` keeps a second run off the rig, `systemd` feeds the service's watchdog, and `memory` restarts what has grown
too large. This room knows nothing of frames and steps.
"""
