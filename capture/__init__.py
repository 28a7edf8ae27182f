"""Shoots a night of calibration frames: what to shoot, in what order, and what to do when something fails.

Start with `night`: `night.assembly` puts a night together, `night.night` runs its steps. From there a frame goes down
the rooms: `shooting` and `twilight` shoot sets, `flats` tunes their exposures, `rig` sets light and temperature,
`host` watches the computer, `recovery` exposes and retries, `session` holds what a night shares, `planning` decides
what to shoot, `storage` writes files, `judging` accepts or rejects frames, `events` report all of it, and `tuner`
searches exposures. `monitoring` shows a night to people; no other room knows it.

A room imports only rooms further down in this list. None knows the simulators or the command line.
"""
