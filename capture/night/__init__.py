"""Run one night, from its start to the safe state.

Start with `assembly`, which assembles a night, and `night`, which runs the steps in order and handles failures.
`step_runner` does the work of one step, `cooling` cools the sensor, `plan_progress` tracks the remaining steps,
and `products` keeps the masters made so far. `resuming` finds the files from an earlier run of the same night, and
`end_of_night` waits until the night's lights have been shot. This package uses all other packages of capture except
`monitoring`.
"""
