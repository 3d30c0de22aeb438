"""Hosts that are network namespaces, and the cables between them."""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import os
import queue
import random
import socket
import struct
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
libc = ctypes.CDLL(None, use_errno=True)


def sh(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def set_namespace(descriptor):
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Host:
    """A network namespace, known to `ip netns`."""

    def __init__(self, name, role):
        self.name, self.role = name, role
        sh("ip", "netns", "add", name)
        sh("ip", "-n", name, "link", "set", "lo", "up")

    @contextlib.contextmanager
    def entered(self):
        """Sockets and devices that this thread makes meanwhile belong to this host, and stay so."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as here:
            set_namespace(here.fileno())
            try:
                yield
            finally:
                set_namespace(home.fileno())

    def connect(self, address, receive_buffer=None):
        with self.entered():
            near = socket.socket()
        if receive_buffer:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        near.settimeout(10)
        near.connect(address)
        return near

    def listen(self, port):
        with self.entered():
            return socket.create_server(("", port))

    def start(self, *command, **options):
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], **options)

    def ip(self, *arguments):
        return sh("ip", "-n", self.name, *arguments)

    def run(self, *command):
        return sh("ip", "netns", "exec", self.name, *command)

    def delete(self):
        sh("ip", "netns", "delete", self.name)


class Cable:
    """A veth pair. Each end is called by the host at the other; the near one has address .1."""

    def __init__(self, near, far, network):
        self.ends = [(near, far.role), (far, near.role)]
        self.make()
        for number, (host, device) in enumerate(self.ends, 1):
            host.ip("address", "add", f"{network}.{number}/24", "dev", device)
            host.ip("link", "set", device, "up")

    def make(self):
        (near, near_device), (far, far_device) = self.ends
        near.ip("link", "add", near_device, "type", "veth", "peer", "name", far_device,
                "netns", far.name)

    def pull(self):
        """The near host sees its carrier go, as when the far one loses its power."""
        host, device = self.ends[1]
        host.ip("link", "set", device, "down")

    def plug(self):
        host, device = self.ends[1]
        host.ip("link", "set", device, "up")

    def slow(self, kilobytes, queue=1):
        """Both ways, `kilobytes` a second; `queue` seconds' worth may wait for the cable."""
        for host, device in self.ends:
            sh("tc", "-n", host.name, "qdisc", "replace", "dev", device, "root", "tbf",
               "rate", f"{kilobytes}kbps", "burst", "3000", "limit", f"{kilobytes * 1000 * queue}")


class Tunnel(Cable):
    """Two TUN devices with a relay of ours in between, which takes its time and loses packets."""

    def __init__(self, near, far, network, delay=0, loss=0):
        self.delay, self.loss = delay, loss
        self.pulled = False
        super().__init__(near, far, network)

    def make(self):
        self.tuns = [self.tun(host, device) for host, device in self.ends]
        for seed, (source, sink) in enumerate([self.tuns, self.tuns[::-1]]):
            packets = queue.Queue(1000)
            run(self.take, source, packets, random.Random(seed))
            run(self.give, sink, packets)

    @staticmethod
    def tun(host, device):
        with host.entered():
            tun = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
        return tun

    def take(self, source, packets, chance):
        while True:
            packet = os.read(source, 65536)
            if not self.pulled and chance.random() >= self.loss:
                with contextlib.suppress(queue.Full):
                    packets.put_nowait((time.monotonic() + self.delay, packet))

    def give(self, sink, packets):
        while True:
            due, packet = packets.get()
            time.sleep(max(0, due - time.monotonic()))
            with contextlib.suppress(OSError):  # a device that is down
                os.write(sink, packet)

    def pull(self):
        """The carrier stays: as with a firewall that forgets, or a cable behind the next switch."""
        self.pulled = True

    def plug(self):
        self.pulled = False


def run(action, *arguments):
    """In a thread of its own, which nobody waits for at the end; its result, or what it raised."""
    future = concurrent.futures.Future()

    def act():
        try:
            future.set_result(action(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=act, daemon=True).start()
    return future
