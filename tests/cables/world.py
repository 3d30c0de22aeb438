"""What a case has for itself: the hosts of a client, a bridge and a peer, and what runs there."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

from network import Cable, Host, Tunnel
from websocket import Client

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
OUT = pathlib.Path(os.environ["OUT"])
BRIDGE, PORT, FRONT_PORT = "10.1.0.1", 8001, 443
PEER, PEER_PORT = "10.9.0.2", 7000
PATIENCE = 20
PYTHON = OUT / "venv/bin/python"

# The clients that others wrote; each prints one line of JSON about what it received.
PROGRAMS = {
    "Python": [PYTHON, HERE / "clients/count.py"],
    "Node": ["node", HERE / "clients/count.mjs"],
    "Chromium": ["node", HERE / "clients/browser.mjs"],
}


def wait_until(what, look, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return seen


def recipe(name):
    """A front's configuration as it stands in the README, but for TLS."""
    readme = (ROOT / "README.md").read_text()
    text = re.search(rf"<!-- recipe: tls/{name} -->\n```.*?\n(.*?)```", readme, re.DOTALL)[1]
    text = text.replace(f"{FRONT_PORT} ssl", f"{FRONT_PORT}").replace('"mod_openssl", ', "")
    text = re.sub(r'(?ms)^\$SERVER\["socket"\].*?^}$', "", text)
    return re.sub(r"(?m)^ *ssl_.*$", "", text)


class World:
    """`near`, `far`: the client's, the peer's link is a tunnel that does this to packets."""

    def __init__(self, name, near=None, far=None):
        self.name, self.processes, self.listener = name, {}, None
        self.hosts = [Host(f"{name}-{role}", role) for role in ("client", "bridge", "peer")]
        self.client, self.bridge, self.peer = self.hosts
        self.near = self.link(self.client, "10.1.0", near)
        self.far = self.link(self.peer, "10.9.0", far)
        self.port = PORT

    def link(self, host, network, tunnel):
        if tunnel is None:
            return Cable(self.bridge, host, network)
        return Tunnel(self.bridge, host, network, **tunnel)

    def start(self, host, what, *command, **options):
        log = OUT / f"{self.name}-{what}.log"
        with open(log, "w") as output:
            process = host.start(*map(str, command), stderr=output, **options)
        self.processes[what] = process
        return log

    def daemon(self, **options):
        """Its options by their long names; the peer is on the peer's host."""
        flags = {"port": PORT, "drain_timeout": 1, **options}
        flags = [word for name, value in flags.items()
                 for word in (f"--{name.replace('_', '-')}", value)]
        self.log = self.start(self.bridge, "daemon", os.environ["WEBSOCKSY_BINARY"], *flags,
                              "-c", f"host=tcp://{PEER}:{PEER_PORT}", "-c", "framing=binary",
                              env={**os.environ, "RUST_LOG": "info"})
        wait_until("the daemon listens", lambda: "listening on" in self.log.read_text())

    def front(self, name, tuned=False):
        """nginx or lighttpd beside the daemon; clients then come through it."""
        if not name:
            return
        if tuned:  # as docs/operations.md says: else megabytes lie before a pong in its socket
            self.bridge.run("sysctl", "-qw", "net.ipv4.tcp_notsent_lowat=16384")
        settings = OUT / f"{self.name}-{name}.conf"
        if name == "nginx":
            settings.write_text(f"pid /dev/null; error_log stderr; events {{}}\n"
                                f"http {{ access_log off;\n{recipe(name)}}}\n")
            command = ["nginx", "-g", "daemon off;", "-c", settings]
        else:
            settings.write_text(f'server.document-root = "/var/empty"\nserver.port = {FRONT_PORT}\n'
                                f"server.max-write-idle = 4\n{recipe(name)}")
            command = ["lighttpd", "-D", "-f", settings]
        self.start(self.bridge, name, *command)
        self.port = FRONT_PORT
        wait_until(f"{name} listens", lambda: f":{FRONT_PORT} " in self.bridge.run("ss", "-tlnH"))

    def session(self, receive_buffer=None, **habits):
        """A raw client, and the peer's end of its session."""
        self.await_peer()
        client = Client(self.client.connect((BRIDGE, self.port), receive_buffer), "/ws", **habits)
        return client, self.accept()

    def await_peer(self):
        self.listener = self.listener or self.peer.listen(PEER_PORT)
        self.listener.settimeout(PATIENCE)

    def accept(self):
        peer, _ = self.listener.accept()
        peer.setblocking(True)
        return peer

    def program(self, name, *arguments):
        """One of the clients that others wrote, and the peer's end of its session."""
        self.await_peer()
        self.start(self.client, name, *PROGRAMS[name], f"ws://{BRIDGE}:{self.port}/ws", *arguments,
                   stdout=subprocess.PIPE, text=True)
        return self.processes[name], self.accept()

    def sockets(self):
        """The lines of ss(8) for the daemon's connections."""
        lines = self.bridge.run("ss", "-tnopH").splitlines()
        daemon = f"pid={self.processes['daemon'].pid},"
        return [line for line in lines if daemon in line]

    def log_line(self, pattern):
        found = re.search(rf"{pattern}.*", self.log.read_text())
        return found and found[0]

    def ended(self):
        """What the log says of the session's end."""
        return wait_until("a line of the session's end", lambda: self.log_line("ended: "))

    def close(self):
        daemon = self.processes.pop("daemon", None)
        for process in self.processes.values():
            process.kill()
        if daemon:
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(PATIENCE) == 0, "the daemon's exit status"
            assert "panicked" not in self.log.read_text()
        for host in self.hosts:
            host.delete()


def outcome(process, seconds):
    """What a client that somebody else wrote says it received."""
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, f"exit status {process.returncode}"
    return json.loads(output)
