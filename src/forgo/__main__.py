"""``python -m forgo`` is the command ``forgo``."""

from forgo._launch import main

main()
