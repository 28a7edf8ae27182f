"""Plan a night: choose its steps and their order, and fit them into the available time and disk space.

Start with `night_plan.plan_night`, which turns the configured sets into steps. `estimates` gives their durations,
`deadline` and `timetable` fit them into the time before dawn, and `preflight` and `disk_space` check them against the
rig and the disk. With --lights, `read_lights` reads the headers, `lights_for_rig` translates them into the rig's terms,
and `sets_for_lights` plans the sets. `set_choice` reduces a plan to the kinds and filters that the user selects.

The modules work on plain values; they must not use the event loop, a device or the running night.
"""
