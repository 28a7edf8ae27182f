"""Before the night ends, calibrate tonight's lights with tonight's masters, and find out whether the result is clean.

Start with `verification`, which follows the night's events and starts a diagnosis as soon as the masters of a set of
lights exist. `light_sets` groups the lights, `masters_at_hand` chooses their masters, and `diagnosis_process` runs each
diagnosis in a process with low priority and a deadline. The program of this process is `child`. This package neither
moves a device nor delays a step.
"""
