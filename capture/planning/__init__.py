"""What a night shoots, in what order, and what fits into the time and space that are left.

Start with `night_plan.plan_night`: it turns the configured sets into steps. `estimates` gives their durations,
`deadline` and `timetable` fit them before dawn, `preflight` and `disk_space` check them against the rig and the disk.
With --lights, `read_lights` reads headers, `lights_for_rig` translates them, and `sets_for_lights` plans the sets.

Everything here works on values: no event loop, no device, no running night.
"""
