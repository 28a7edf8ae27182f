"""The sections of the dashboard, one module per subject.

A section is a function that takes a `Pane` (the state of the night, the current time, a size and a set of characters)
and returns its lines, at most as many as the pane has rows. The most important line is the first. Start with `pane`,
then read any other module. Sections depend neither on the terminal nor on their position on the screen.
"""
