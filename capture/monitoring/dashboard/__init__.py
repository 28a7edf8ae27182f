"""The dashboard: shows a night as text on a terminal, refreshed while the night runs.

Start with `layout`, which places the `sections` according to the size of the terminal. `terminal` takes over the
terminal and redraws what has changed, `keyboard` reads single keys, `controls` decides what a key does, and `footer`
draws the last lines. `drawing` has the bars, gauges, curves and pictures. The state of the night is kept in
`progress.state`, not here. Only the commands that `controls` passes on affect the night.
"""
