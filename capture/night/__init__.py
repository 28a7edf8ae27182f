"""One night, from its start to the safe state.

Start with `assembly`, which puts a night together, and `night`, which decides its order and handles failures.
`step_runner` does the work of one step, `cooling` keeps the setpoint, `plan_progress` and `products` hold what is left
and what was made. `resuming` finds what an earlier run of the same night left, and `end_of_night` waits until the
night's lights are taken. This room knows all others of capture except `monitoring`.
"""
