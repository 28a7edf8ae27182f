"""The sections of the dashboard, one module per subject.

A section is a function that takes a `Pane` (the state of the night, the present time, a size and the characters to
draw with) and returns at most as many lines as the pane is high, the most important one first. Start with `pane`, then
read any other module. Sections depend neither on the terminal nor on their place on the screen.
"""
