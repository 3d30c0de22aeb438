"""Runs the cases, all at once: they wait most of the time, and each has hosts of its own."""

import concurrent.futures
import os
import signal
import sys
import time
import traceback

import cases
from network import sh
from world import OUT, World

SHORT, LONG = 240, 2 * 3600  # seconds after which what still runs has failed


def attempt(number, case):
    begin = time.monotonic()
    try:
        world = World(f"{number}", **case.tunnels)
        try:
            case.run(world)
        finally:
            world.close()
        failure = None
    except Exception as error:
        (OUT / f"{number}-failure.log").write_text(traceback.format_exc())
        failure = f"{type(error).__name__}: {error}"
    return failure, time.monotonic() - begin


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.makedirs("/run/netns", exist_ok=True)  # ip(8) makes it, but nobody may have called it yet
    sh("mount", "-t", "tmpfs", "none", "/run/netns")
    for old in OUT.glob("[0-9]*.*"):
        old.unlink()
    words = [word for word in sys.argv[1:] if word != "--long"]
    chosen = [case for case in cases.CASES
              if case.long == ("--long" in sys.argv)
              and (not words or any(word in case.name for word in words))]
    with concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
        running = {pool.submit(attempt, number, case): (number, case)
                   for number, case in enumerate(chosen)}
        failed = 0
        try:
            for done in concurrent.futures.as_completed(running, LONG if chosen[0].long else SHORT):
                (number, case), (failure, seconds) = running.pop(done), done.result()
                print(f"{'not ok' if failure else 'ok'} - {case.name} [{number}, {seconds:.1f} s]"
                      + (f"\n    {failure}" if failure else ""), flush=True)
                failed += bool(failure)
        except TimeoutError:
            for number, case in running.values():
                print(f"not ok - {case.name} [{number}]\n    does not end")
        print(f"{len(chosen) - failed - len(running)} passed, {failed + len(running)} failed",
              flush=True)
        os._exit(bool(failed or running))


main()
