"""Take exposures despite failing devices, full disks, other programs and pauses.

Start with `retrying`, which repeats a command to the rig and waits for lost devices; `power_cycle` is its last resort.
`exposing` takes one exposure: it waits while the night is paused (`pausing`) or the disk is full (`disk_full`), and
afterwards checks for clock steps (`clock_jump`) and changes by other programs (`interference`). This package does not
depend on sets, frame quality or the order of a night's steps.
"""
