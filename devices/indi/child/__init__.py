"""The process that runs pyindi-client: `python -m coldframe.devices.indi.child HOST PORT`.

Start with `__main__`, which relays commands and events. The library itself connects to `relay`, which passes on the
server's data as long as it stays within the limits in `xml_limits`. This package does not use the event loop.
"""
