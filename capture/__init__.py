"""Shoot a night of calibration frames: decide what to shoot and in which order, and recover from failures.

Start with `night`: `night.assembly` assembles a night, and `night.night` runs its steps. The other packages are
`verifying`, which diagnoses lights, `twilight` and `shooting`, which shoot sets, `flats`, which tunes their exposures,
and `pipeline`, which takes each frame from the camera to the disk. `rig` sets light and temperature, `host` watches the
computer, `recovery` exposes and retries, and `session` holds shared state. `planning` decides what to shoot, `storage`
writes files, `judging` accepts or rejects frames, `events` reports the progress, `tuner` finds exposures, and
`monitoring` shows a night. Each package imports only those that follow it in this list.
"""
