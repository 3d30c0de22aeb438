"""An IRC client without a WebSocket, who answers what is said to it and keeps a record of the bytes."""

import socket
import threading


class Bot:
    """Sits in a channel; `odd` has the lines that no client should have caused."""

    def __init__(self, host, port, nick, channel):
        self.socket = socket.create_connection((host, port))
        self.channel = channel.encode()
        self.odd = []
        self.say(b"NICK %b" % nick.encode(), b"USER %b 0 * :Bot" % nick.encode())
        threading.Thread(target=self.listen, daemon=True).start()

    def say(self, *lines):
        self.socket.sendall(b"".join(line + b"\r\n" for line in lines))

    def listen(self):
        for line in self.socket.makefile("rb"):
            line = line.removesuffix(b"\r\n")
            words = line.split(b" ", 3)
            if words[0] == b"PING":
                self.say(b"PONG " + words[1])
            elif words[1] == b"001":
                self.say(b"JOIN " + self.channel)
            elif words[1] == b"PRIVMSG":
                self.answer(words[3].removeprefix(b":"))

    def answer(self, said):
        """`say NAME`: a message that not every client takes; anything else comes back."""
        spoken = {
            b"latin-1": "café".encode("latin-1"),
            b"long": "ż".encode() * 180,
            b"utf-8": "zażółć 🦀".encode(),
        }
        if said.rstrip() != said or b"\0" in said:
            self.odd.append(said)
        words = spoken.get(said.removeprefix(b"say "), said[::-1] if said.isascii() else said)
        self.say(b"PRIVMSG %b :%b" % (self.channel, words))
