"""Devices on an INDI server.

Start with `rig`, which builds all devices in a configuration; then read `device`, which contains their base class. The
control connection, `link`, runs pyindi-client in a separate process (`child`). All modules read properties from
`mirror`. Pixels arrive over a second connection (`pixels`). `dialects` maps the controls that coldframe needs to the
names that drivers use. See docs/decisions/0002 and 0003.

Only `child` may import PyIndi.
"""
