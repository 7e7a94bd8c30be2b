"""How long models take: queries in interleaved rounds, against the right clock, here or in a process of their own."""
