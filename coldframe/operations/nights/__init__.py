"""The operation that runs a night: the request, the plan, the rig, and everything that observes the night.

Start with `running`, which assembles the night from `request` and its observers. The caller provides
the screen as an `Audience`; nothing here reads from or writes to the terminal.
"""
