"""Leave out what matters least: single weights (zeros), two of every four, or whole channels and attention heads.

`choice` decides what goes, from scores alone; the other files find what may go together, score it and take it out.
"""
