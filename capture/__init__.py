"""Shoots a night of calibration frames: what to shoot, in what order, and what to do when something fails.

Start with `night`: `night.assembly` puts a night together, `night.night` runs its steps. Then follow a frame down the
rooms. `twilight` and `shooting` shoot sets, `flats` tunes their exposures, and `pipeline` takes each frame from the
camera to the disk. `rig` sets light and temperature, `host` watches the computer, `recovery` exposes and retries, and
`session` holds what a night shares. `planning` decides what to shoot, `storage` writes files, `judging` accepts or
rejects frames, `events` reports all of it, and `tuner` searches exposures. `monitoring` shows a night to people.
A room imports only rooms further down in this order. None imports the simulators or the command line.
"""
