"""Exposures that succeed in spite of failing devices, full disks, other programs and pauses.

Start with `retrying`, which repeats an order to the rig and waits for devices that went away; `power_cycle` is its last
resort. `exposing` takes one exposure: it waits while the night is paused (`pausing`) or the disk is full (`disk_full`)
and checks afterwards what happened meanwhile (`clock_jump`, `interference`). This room knows nothing of sets, frames'
quality or the order of a night.
"""
