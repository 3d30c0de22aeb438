"""TLS: the daemon's own, and web servers in front of it. Behind it is a VNC server."""

import ssl
import time

from harness import recipe
from recipes.desktops import draw, vnc_server
from rfb import Viewer, desktop_name

URL = "wss://desk.example.org/ws"
ORIGIN = "https://desk.example.org"
SCREENS = 5
PASTED = 3 << 20
# The daemon pings after 30 s, and what stands in front must have a shorter time-out than this.
QUIET_SECONDS = 70


def front(name, *blocks, quiet=False):
    """Registers the test of a front: `start` brings it up."""

    def register(start):
        def test(run):
            vnc_server(run, 5900, "behind TLS")
            run.daemon("tls")
            server = start(run)
            run.answers(443, server, host="desk.example.org")
            converse(run, quiet)

        return recipe(name, "tls", *blocks)(test)

    return register


def converse(run, quiet):
    options = {"ssl": ssl.create_default_context(cafile="/etc/ssl/test-ca.crt"), "origin": ORIGIN}
    viewer = Viewer(URL, **options)
    with viewer.socket:
        run.equal("the desktop has its name", viewer.name, "behind TLS")
        pixels = sum(viewer.screen() for _ in range(SCREENS))
        run.equal(f"{SCREENS} screens arrive whole", pixels, SCREENS * 640 * 480)
        viewer.paste(b"x" * PASTED)
        run.equal(f"so does one behind {PASTED} bytes pasted", viewer.screen(), 640 * 480)
        if quiet:
            time.sleep(QUIET_SECONDS)
            run.equal(f"and after {QUIET_SECONDS} quiet seconds", viewer.screen(), 640 * 480)
    # The front's own close of a connection may come first: then there is no code.
    run.check("the session is closed", viewer.socket.close_code in (1000, 1005, 1006))
    refused = desktop_name(URL, **options | {"origin": "https://b.example"})
    run.equal("pages of another site are refused", refused, 403)


@recipe("tls", "tls/own", "tls/own.url")
def own(run):
    draw(run, vnc_server(run, 5900, "behind TLS"))
    run.daemon("tls/own")
    converse(run, quiet=False)
    run.browser("viewer.mjs", run.blocks["tls/own.url"].text.strip())


@front("nginx", "tls/nginx", quiet=True)
def nginx(run):
    run.write("tls/nginx")
    return run.start("nginx", "nginx", "-g", "daemon off;")


@front("haproxy", "tls/haproxy.pem", "tls/haproxy", quiet=True)
def haproxy(run):
    run.finish("tls/haproxy.pem")
    return run.start("haproxy", "haproxy", "-db", "-f", run.write("tls/haproxy"))


@front("lighttpd", "tls/lighttpd", quiet=True)
def lighttpd(run):
    run.write("tls/lighttpd")
    return run.start("lighttpd", "lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf")


@front("apache", "tls/apache.modules", "tls/apache")
def apache(run):
    run.finish("tls/apache.modules")
    run.write("tls/apache")
    return run.start("apache", "apache2ctl", "-D", "FOREGROUND")


@front("caddy", "tls/caddy")
def caddy(run):
    return run.start("caddy", "caddy", "run", "--config", run.write("tls/caddy"))
