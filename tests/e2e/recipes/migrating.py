"""The page for those who come from another bridge: its commands, and whether it names every option."""

import re
import subprocess
import sys
from pathlib import Path

from harness import ROOT, recipe
from recipes.desktops import vnc_server
from rfb import desktop_name

ORIGIN = "https://desk.example.org"
WSTUNNEL = Path("/usr/lib/lighttpd/mod_wstunnel.so")


def section(title):
    page = (ROOT / "docs/migrating.md").read_text()
    return page.split(f"\n## From {title}\n")[1].split("\n## ")[0]


def unnamed(options, title):
    """The options that a section does not name."""
    text = section(title)
    return sorted(
        option for option in options if not re.search(re.escape(option) + r"(?![\w-])", text))


@recipe("migrating-options", because="it compares the page with what the programs say of themselves")
def options(run):
    websockify = Path(sys.executable).with_name("websockify")
    text = subprocess.run([websockify, "--help"], capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE))
    run.check("websockify has options", len(named) > 30, str(named))
    run.equal("the page names each of them", unnamed(named, "websockify"), [])

    named = {word.decode() for word in re.findall(rb"\0(wstunnel\.[a-z-]+)(?=\0)", WSTUNNEL.read_bytes())}
    run.check("mod_wstunnel has directives", len(named) > 5, str(named))
    run.equal("the page names each of them", unnamed(named, "lighttpd's mod_wstunnel"), [])


@recipe("migrating-first", "migrating/first")
def first(run):
    vnc_server(run, 5901, "of alice")
    peers = Path("/etc/websocksy/peers")
    peers.mkdir(parents=True)
    (peers / "alice").write_text("tcp://localhost:5901 * binary\n")
    run.prepare("make", "backends")
    run.daemon("migrating/first")
    run.equal("alice's desktop", desktop_name("ws://localhost:8001/alice"), "of alice")


@recipe("migrating-lighttpd", "migrating/wstunnel", "migrating/lighttpd")
def lighttpd(run):
    vnc_server(run, 5900, "either way")
    configuration = Path("/etc/lighttpd/conf-enabled/90-desk.conf")
    modules = 'server.modules += ( "mod_wstunnel" )\n'
    configuration.write_text(modules + run.blocks["migrating/wstunnel"].text)
    run.answers(80, run.start("lighttpd", "lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"))
    run.daemon("migrating/lighttpd")
    for bridge, url in ("lighttpd", "ws://localhost/ws"), ("websocksy", "ws://localhost:8001/ws"):
        options = {"origin": ORIGIN, "subprotocols": ["binary"]}
        run.equal(f"the desktop by {bridge}", desktop_name(url, **options), "either way")
        refused = desktop_name(url, **options | {"origin": "https://b.example"})
        run.equal(f"another site's page by {bridge}", refused, 403)
