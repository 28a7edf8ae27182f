"""Watch the computer on which a night runs.

`rig_lock` prevents a second run on the rig, and `systemd` feeds the service's watchdog. `memory` frees the memory of
each set, and restarts the link to the INDI server if the link uses too much; `allocator` limits the memory that stays
allocated after frames are freed. This package does not depend on frames or steps.
"""
