"""The script ``netc``: the program, in the interpreter's process."""

import signal
import sys
from typing import NoReturn

from netc._netc import run_program


def main() -> NoReturn:
    """Run the program with the arguments of the process, and exit with its code."""
    # As in a program of its own: Ctrl-C ends it, unless the command takes care of it, or whoever started it has it ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run_program(["netc", *sys.argv[1:]]))
