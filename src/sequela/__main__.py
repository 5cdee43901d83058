"""Run the command as ``python -m sequela``."""

from sequela.cli.app import main

main()
