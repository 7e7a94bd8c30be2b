"""A report as text. One file a form; they compute nothing."""
