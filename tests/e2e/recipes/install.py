"""From a checkout to an installed daemon."""

import os
import subprocess

from harness import BUILD_SECONDS, Failed, recipe
from websockets.sync.client import connect

INSTALLED = [
    "bin/websocksy", "include/websocksy.h", "share/man/man8/websocksy.8",
    *(f"lib/websocksy/backend_{name}.so" for name in ("file", "http", "jwt", "redis", "srv", "token")),
    *(f"lib/websocksy/{name}.so" for name in ("dynamic32", "fixedlength", "json"))]


@recipe("demo", "demo")
def demo(run):
    run.answers(8001, run.shell("demo"), seconds=BUILD_SECONDS)
    with connect("ws://127.0.0.1:8001", compression=None) as session:
        greeting = session.recv(timeout=30)
        run.check("the server greets", "louder" in greeting, repr(greeting))
        session.send("hello")
        run.equal("it answers", session.recv(timeout=30), "HELLO\n")
        session.send("quit")
        run.equal("it hangs up", list(session), ["Bye!\n"])
        run.equal("the session closes", session.close_code, 1000)


@recipe("install", "install")
def install(run):
    run.finish("install", BUILD_SECONDS)
    missing = [name for name in INSTALLED if not os.path.isfile(f"/usr/local/{name}")]
    run.equal("all is there", missing, [])
    if missing:
        raise Failed("the installed daemon runs")
    # With the plug-ins that were installed beside it, unless it is told of others.
    daemon = run.start(
        "installed", "/usr/local/bin/websocksy", "-l", "127.0.0.1", "-b", "file", "-c", "path=/srv",
        "-c", "expression=%endpoint%")
    run.answers(8001, daemon)
    daemon.terminate()
    run.equal("the installed daemon ends with 0", daemon.wait(30), 0)
    page = subprocess.run(
        ["man", "-w", "websocksy"], capture_output=True, text=True, check=False).stdout.strip()
    if page:  # a machine may have no man(1)
        found = os.path.realpath(page)
        run.equal("man finds the page", found, "/usr/local/share/man/man8/websocksy.8")
