"""``python -m netc``: the program."""

from netc._program import main

main()
