"""Devices behind an INDI server.

Start with `rig`, which builds all devices of a configuration, then `device`, their base class. `link` is the control
connection: pyindi-client runs in a separate process (`child`), and `mirror` keeps the only copy of the properties
that anything here reads. Pixels come over a second connection, in the room `pixels`. `dialects` maps what we need to
the names that drivers use. See docs/decisions/0002 and 0003.

No module but `child` may import PyIndi.
"""
