"""Runs one scenario with pika: `python run.py SCENARIO URL`, or names them all: `python run.py --list`.

Exit codes: 0 held, 1 breached, 77 skipped (the broker cannot be restarted from here).
"""

import importlib
import pathlib
import sys
import traceback

from support import Breach, Skipped

SCENARIOS = pathlib.Path(__file__).parent / "scenarios"


def names():
    return sorted(path.stem for path in SCENARIOS.glob("*.py") if path.stem != "__init__")


def main(arguments):
    if arguments == ["--list"]:
        print("\n".join(names()))
        return 0
    if len(arguments) != 2 or arguments[0] not in names():
        print(f"usage: run.py SCENARIO URL, with SCENARIO one of: {', '.join(names())}", file=sys.stderr)
        return 2
    name, url = arguments
    try:
        importlib.import_module(f"scenarios.{name}").run(url)
    except Skipped as reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 77
    except Breach as breach:
        print(f"breach: {breach}", file=sys.stderr)
        traceback.print_exc(limit=-3)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
