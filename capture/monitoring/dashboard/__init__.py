"""A dashboard that shows a running night as text on a terminal.

Start with `layout`, which places the `sections` according to the size of the terminal. `terminal` takes over the
terminal and redraws the lines that have changed. `keyboard` reads single keys, `controls` carries out their functions,
and `footer` draws the last lines. `drawing` draws bars, gauges, curves and pictures. `progress.state` keeps the state
of the night. Only the commands that `controls` passes on affect the night.
"""
