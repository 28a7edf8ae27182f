"""Watch the computer on which a night runs.

`rig_lock` prevents a second run on the rig, and `systemd` feeds the service's watchdog. `memory` frees the memory of
each set, and restarts the link to the INDI server if it uses too much; `allocator` limits what freed frames leave
behind. This package does not depend on frames or steps.
"""
