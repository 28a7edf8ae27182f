"""Hold the state and the limits that all parts of a running night share.

Start with `context`, which every part receives. `steering` takes the user's requests, `skipping` cancels a step,
`retry_budget` limits retries, and `hooks` runs the user's commands before and after the night. This package sends no
commands to the rig and takes no exposures.
"""
