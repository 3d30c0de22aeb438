"""What the recipes' tests share: they register here, run the page's blocks, and say what holds."""

import os
import socket
import subprocess
import time
import traceback
from pathlib import Path

from page import PageError, blocks

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OUT = Path(os.environ.get("OUT", ROOT / "target/e2e"))
PAGES = [ROOT / "README.md", ROOT / "docs/migrating.md", ROOT / "docs/websocksy.8"]

PATIENCE_SECONDS = 30
BUILD_SECONDS = 900  # `make` in a block, on a machine that has compiled nothing yet
CLIENT_SECONDS = 180

TESTS = {}


def recipe(name, *used, because=None):
    """Registers a test that runs the blocks `used`; one of no block says `because` of what it is."""
    assert bool(used) != bool(because), name

    def register(test):
        assert name not in TESTS, name
        TESTS[name] = (test, used)
        return test

    return register


def pages():
    """All named blocks of the pages, by name."""
    found = [block for page in PAGES for block in blocks(page)]
    names = [block.name for block in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PageError(f"two blocks have one name: {' '.join(twice)}")
    return {block.name: block for block in found}


class Failed(Exception):
    """A step that the rest of the recipe needs."""


class Run:
    """One run of a recipe."""

    def __init__(self, name, known):
        self.name = name
        self.blocks = known
        self.failed = False
        self.scripts = []

    def check(self, what, holds, detail=""):
        """Prints one line; a failure is remembered, and the recipe goes on."""
        print(f"ok - {what}" if holds else f"not ok - {what} {detail}", flush=True)
        self.failed |= not holds

    def equal(self, what, got, expected):
        self.check(what, got == expected, f"(got {got!r}, expected {expected!r})")

    def log(self, what):
        return OUT / f"{self.name}-{what.replace('/', '-')}.log"

    def start(self, what, *command, **options):
        """A server in the background, its output in a log."""
        with open(self.log(what), "wb") as log:
            return subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd=ROOT, **options)

    def shell(self, block):
        """A block of commands, which goes on in the background."""
        script = self.start(block, "bash", "-euc", self.blocks[block].text)
        script.block = block
        self.scripts.append(script)
        return script

    def prepare(self, *command):
        """What the page takes for done."""
        if self.start(f"prepare-{command[0]}", *command).wait(BUILD_SECONDS) != 0:
            raise Failed(f"{' '.join(command)}")

    def finish(self, block, seconds=PATIENCE_SECONDS):
        """A block of commands that end by themselves."""
        script = self.start(block, "bash", "-euc", self.blocks[block].text)
        try:
            status = script.wait(seconds)
        except subprocess.TimeoutExpired:
            status = "none in time"
        if status != 0:
            raise Failed(f"{self.blocks[block].place}: exit status {status}")

    def daemon(self, block):
        """A block whose last command is the daemon; returns when that listens."""
        script = self.shell(block)
        heard = lambda: b"listening on " in self.log(block).read_bytes()
        self.until(f"{self.blocks[block].place}: the daemon listens", heard, script, BUILD_SECONDS)

    def write(self, block):
        """A block that is a file, where the page says it is."""
        path = Path(self.blocks[block].path())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.blocks[block].text)
        return path

    def until(self, what, happened, process=None, seconds=PATIENCE_SECONDS):
        end = time.monotonic() + seconds
        while not happened():
            ended = process and process.poll() is not None and not happened()
            if ended or time.monotonic() > end:
                raise Failed(f"{what}: {'its process ended' if ended else 'not in time'}")
            time.sleep(0.05)

    def answers(self, port, process=None, host="localhost", seconds=PATIENCE_SECONDS):
        """Waits for a server on a port."""

        def connects():
            try:
                socket.create_connection((host, port), 1).close()
                return True
            except OSError:
                return False

        self.until(f"port {port} answers", connects, process, seconds)

    def client(self, *command):
        """A client that says itself what holds."""
        try:
            status = subprocess.run(
                [str(word) for word in command], timeout=CLIENT_SECONDS, cwd=HERE,
                stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode
        except subprocess.TimeoutExpired:
            status = "none in time"
        self.equal(f"{Path(str(command[1])).name} ends well", status, 0)

    def browser(self, script, *arguments):
        self.client("node", script, *arguments)

    def block_file(self, block):
        """A block as a file for a client to read."""
        path = OUT / f"{self.name}-{block.replace('/', '-')}.block"
        path.write_text(self.blocks[block].text)
        return path

    def stop(self):
        """Ends the daemons, and looks at how they ended."""
        if not self.scripts:
            return
        # All processes that this can see are the recipe's own.
        subprocess.run(["pkill", "-TERM", "-x", "websocksy"], check=False)
        for script in self.scripts:
            log = self.log(script.block)
            if b"listening on " not in log.read_bytes():
                continue
            try:
                status = script.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                status = "none in time"
            lines = log.read_text(errors="replace").splitlines()
            # Who has a peer on this machine and keeps nobody out is told so, as in many a recipe.
            loud = [line for line in lines if "panicked" in line
                    or " WARN " in line and "whoever reaches this port" not in line]
            self.equal(f"{script.block}: the daemon ends with 0 on SIGTERM", status, 0)
            self.equal(f"{script.block}: it warned of nothing", loud, [])


def execute(name):
    """Runs a recipe in this process, which is in a sandbox; the exit status."""
    test, used = TESTS[name]
    known = pages()
    run = Run(name, {block: known[block] for block in used})
    try:
        test(run)
        run.stop()
    except Failed as error:
        run.check(str(error), False)
    except Exception as error:
        traceback.print_exc()
        run.check(f"{name} runs to its end: {error!r}", False)
    if run.failed:
        for log in sorted(OUT.glob(f"{name}-*.log")):
            tail = log.read_text(errors="replace").splitlines()[-60:]
            print(f"==> {log.name} <==", *tail, sep="\n")
    return int(run.failed)


def differences():
    """What the pages have and no test runs, and the other way around."""
    on_pages = pages()
    tested = {block for _, used in TESTS.values() for block in used}
    for name, block in on_pages.items():
        if name not in tested:
            yield f"{block.place}: no test runs the recipe {name}"
    for name in sorted(tested - on_pages.keys()):
        yield f"no page has the recipe {name}, which a test runs"
