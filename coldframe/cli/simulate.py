"""`coldframe simulate`: the simulated rig for any INDI client."""

import asyncio
import signal
import sys

from coldframe.cli.exit_codes import ExitCode
from coldframe.config.settings import LOOPBACK_HOSTS
from coldframe.config.simulated_rig import RigFileError, load_rig
from coldframe.simulators.serve import serve


def serve_rig(name: str, host: str, port: int, unix_socket: str | None) -> ExitCode:
    """Serve the named rig until the process is interrupted."""
    try:
        rig = load_rig(name)
    except RigFileError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    if host not in LOOPBACK_HOSTS:
        print(f"warning: INDI has no passwords; whoever reaches {host} drives this rig", file=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"serving {name} on {host}:{port}" + (f" and {unix_socket}" if unix_socket else "") + "; Ctrl-C ends")
    try:
        asyncio.run(serve(rig, host, port, unix_socket))
    except KeyboardInterrupt:
        return ExitCode.DONE
    except OSError as error:
        print(f"cannot listen on {host}:{port}: {error.strerror or error}. Is another server running?", file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.DONE
