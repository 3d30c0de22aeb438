#!/usr/bin/env python3
"""The recipes of README and man page, as they stand there, before the servers that they name.

    recipe.py --check   compares pages and tests
    recipe.py --list    the tests' names
    recipe.py NAME      runs a test; `sandbox` has made the machine for it
"""

import pkgutil
import sys

import harness
import recipes
from page import PageError

for module in pkgutil.iter_modules(recipes.__path__):
    __import__(f"recipes.{module.name}")


def check():
    try:
        found = list(harness.differences())
    except PageError as error:
        found = [error]
    for difference in found:
        print(f"not ok - {difference}")
    if not found:
        print(f"ok - the pages' {len(harness.pages())} blocks are those that {len(harness.TESTS)} tests run")
    return int(bool(found))


def main():
    match sys.argv[1:]:
        case ["--check"]:
            return check()
        case ["--list"]:
            print(*harness.TESTS, sep="\n")
            return 0
        case [name] if name in harness.TESTS:
            return harness.execute(name)
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main())
