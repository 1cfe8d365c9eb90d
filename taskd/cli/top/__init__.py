"""`taskd top`: the overview in a terminal.

command     its options, and the loop: look, draw, wait
overview    what is looked at, as values
frame       the lines of one picture of it, for any width and height
short       numbers and durations in few cells
screen      the terminal: its keys, its size, and how it was before
"""
