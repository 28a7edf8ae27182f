"""The dashboard: a night as text on a terminal, refreshed while it runs.

Start with `layout`, which places the `sections` according to the size of the terminal. `terminal` takes over the
terminal and redraws what has changed, `keyboard` reads single keys, `controls` decides what a key does, and `footer`
draws the last lines. `drawing` has the bars, gauges, curves and pictures. Nothing here keeps the state of the night
(that is `progress.state`) or acts on the night, except through the commands that `controls` passes on.
"""
