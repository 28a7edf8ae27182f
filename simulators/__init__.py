"""Simulated rigs, for trying coldframe without hardware and for testing whole nights.

Start with `optics`, the telescope, which combines `sensor`, `cooler`, `panel`, `wheel` and `sky` on one clock.
`devices` implements coldframe's device protocols for this telescope, within this process and in virtual time. `indi`
serves the telescope to any INDI client, `mqtt_light` is a panel on an MQTT broker, and `faults` makes devices fail.

The hardware models use no event loop. Only the command line and the tests import this layer. `coldframe.capture` must
not be able to distinguish a simulated rig from a real rig.
"""
