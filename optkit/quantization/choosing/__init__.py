"""Which variant is handed over: they compete, are mended where it pays, and the best is taken and polished."""
