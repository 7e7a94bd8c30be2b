"""How close a model's answers are to the original's, and how much further off they may be."""
