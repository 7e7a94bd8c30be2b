"""`python -m optkit`."""

from optkit.cli import main

main()
