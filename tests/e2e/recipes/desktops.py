"""Desktops: VNC and SPICE."""

import sys

from harness import BUILD_SECONDS, HERE, recipe
from rfb import desktop_name
from websockets.exceptions import WebSocketException

NOVNC = "1.0", "1.1", "1.7"


def vnc_server(run, port, name="websocksy e2e"):
    """A VNC server without a client on its screen; the X display's name."""
    display = f":{port - 5900}"
    server = run.start(
        f"xvnc-{port}", "Xvnc", display, "-rfbport", port, "-localhost", "-SecurityTypes", "None",
        "-geometry", "640x480", "-depth", "24", "-desktop", name, "-nolock")
    run.answers(port, server)
    return display


def draw(run, display):
    """The desktop that the clients compare pixel by pixel, with no key pressed yet."""
    drawing = run.start("desktop", sys.executable, HERE / "desktop.py", env={"DISPLAY": display})
    drawn = lambda: "drawn" in run.log("desktop").read_text()
    run.until("the desktop is drawn", drawn, drawing)
    return drawing


@recipe("start", "start")
def start(run):
    vnc_server(run, 5900, "first")
    run.daemon("start")
    run.equal("the desktop has its name", desktop_name("ws://localhost:8001"), "first")


@recipe("novnc", "novnc", "novnc/url")
def novnc(run):
    display = vnc_server(run, 5900)
    drawing = draw(run, display)
    run.daemon("novnc")
    run.browser("viewer.mjs", run.blocks["novnc/url"].text.strip())
    # The library alone, as pages embed it; until 1.1 it offers the subprotocol `binary`.
    for version in NOVNC:
        drawing.terminate()
        drawing.wait()
        drawing = draw(run, display)
        run.browser("novnc.mjs", "ws://localhost:6080", f"novnc-{version}")


@recipe("demo-vnc", "demo-vnc")
def demo_vnc(run):
    demo = run.shell("demo-vnc")
    run.answers(6080, demo, seconds=BUILD_SECONDS)
    run.equal("the desktop has its name", desktop_name("ws://127.0.0.1:6080"), "websocksy demo")
    run.browser("demo_vnc.mjs", "http://127.0.0.1:6080/vnc.html?autoconnect=1")


@recipe("spice", "spice/machine", "spice", "spice/pages", "spice/url")
def spice(run):
    machine = run.shell("spice/machine")
    run.answers(5930, machine)
    run.daemon("spice")
    pages = run.shell("spice/pages")
    run.answers(6080, pages)
    run.browser("spice.mjs", run.blocks["spice/url"].text.strip())


@recipe("man-vnc", "man/vnc")
def man_vnc(run):
    vnc_server(run, 5901, "desk")
    run.daemon("man/vnc")
    name = desktop_name("ws://localhost:8080", origin="https://desk.example.org")
    run.equal("the desktop has its name", name, "desk")
    run.equal("another site is refused", desktop_name("ws://localhost:8080", origin="https://b.example"), 403)


@recipe("file", "file")
def file(run):
    for port, name in (5901, "of alice"), (5902, "of bob"):
        vnc_server(run, port, name)
    run.daemon("file")
    run.equal("alice's desktop", desktop_name("ws://localhost:8001/alice"), "of alice")
    run.equal("bob's desktop", desktop_name("ws://localhost:8001/bob"), "of bob")
    run.equal("nobody's desktop", desktop_name("ws://localhost:8001/carol"), 404)


@recipe("access", "access")
def access(run):
    for address in "192.0.2.1", "192.0.2.7":
        run.prepare("ip", "address", "add", f"{address}/32", "dev", "lo")
    vnc_server(run, 5900, "guarded")
    run.daemon("access")

    def seen(user, source="192.0.2.1", origin="https://desk.example.org"):
        """What a client from `source` gets: the desktop's name, a status, or nothing."""
        try:
            return desktop_name(f"ws://{user}192.0.2.1:8001", origin=origin,
                                local_addr=(source, 0))
        except (WebSocketException, EOFError, OSError) as error:
            return type(error).__name__

    run.equal("alice is let in", seen("alice:correct%20horse@"), "guarded")
    run.equal("nobody else is", seen("alice:wrong@"), 401)
    run.equal("nor is who says no name", seen(""), 401)
    run.equal("another site's page is refused", seen("alice:correct%20horse@", origin="https://b.example"), 403)
    denied = seen("alice:correct%20horse@", source="192.0.2.7")
    run.check("a denied address is hung up on", not isinstance(denied, int) and denied != "guarded", denied)
