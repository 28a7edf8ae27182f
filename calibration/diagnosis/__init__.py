"""What calibrated lights, and masters by themselves, show about faults of their calibration.

Start with `findings`, the result of a diagnosis. `measuring` measures each light once; the other modules estimate one
property each from these measurements. `masters` looks at masters without lights. Everything here is pure: it takes
arrays and headers, and returns findings.
"""
