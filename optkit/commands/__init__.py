"""One file per subcommand: flags, one call, print."""
