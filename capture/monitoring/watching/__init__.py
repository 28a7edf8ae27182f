"""Watch and steer a run from another process on the same machine.

Start with `server`, which the run opens on a local socket, and `local`, the watcher's side. `messages` defines their
protocol, one JSON object per line; `history` keeps what a new watcher needs; `address` names the socket and checks
the user at its other end. `source` has the interface that `telemetry.remote` also implements. Nothing here draws.
"""
