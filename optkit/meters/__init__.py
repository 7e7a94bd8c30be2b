"""What is read off a run. One file a meter."""
