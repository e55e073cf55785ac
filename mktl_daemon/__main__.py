"""python -m mktl_daemon: names the programs, or runs the one that is named."""

import importlib
import sys

PROGRAMS = {
    "mk": "read, set and watch items",
    "mkd": "run the daemon of a store",
    "mkregistryd": "run a registry, which tells clients where stores are",
}


def main() -> int:
    """Run ``python -m mktl_daemon mk get pie.angle`` as ``mk get pie.angle``."""
    program, *arguments = sys.argv[1:] or [""]
    if program in PROGRAMS:
        module = importlib.import_module(f"mktl_daemon.cli.{program}")
        code: int = module.main(arguments)
        return code
    for name, purpose in PROGRAMS.items():
        print(f"{name:12} {purpose}")  # noqa: T201
    print(f"\nEach has --help; python -m {__package__} NAME runs it too.")  # noqa: T201
    return 0 if program in {"", "-h", "--help"} else 1


if __name__ == "__main__":
    sys.exit(main())
