"""`python guard.py COMMAND...`: runs a command that must not outlive the process which started this one.

A script of its own, because the owner may be killed with SIGKILL and then runs no clean-up. The owner keeps the other
end of this process's standard input open; when that ends, so do the command and everything it started. The owner starts
this script as the leader of a process group of its own and ends that group after the script.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def _end_with_the_owner() -> None:
    os.read(0, 1)  # gives the end of the file, when nobody holds the other end any more
    os.killpg(0, signal.SIGKILL)


def main(command: list[str]) -> int:
    """Run the command.

    Returns:
        Its exit code; 128 plus the number of the signal that ended it, as in a shell.
    """
    # A SIGTERM to the group is for the command. A handler, unlike SIG_IGN, is not inherited by it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    # Ray kills the children of an actor that it ends, not their children: the one that guards is none of the owner's.
    if guarding := os.fork():
        return _shell_code(os.waitstatus_to_exitcode(os.waitpid(guarding, 0)[1]))
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"cannot start {command[0]!r}: {error.strerror}", file=sys.stderr)
        return 127
    threading.Thread(target=_end_with_the_owner, daemon=True).start()
    return _shell_code(child.wait())


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
