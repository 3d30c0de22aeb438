"""A WebSocket over TLS by Python's ssl: says what it was given, hears it back, and goodbye both ways.

usage: client.py PORT CA NAME [CERTIFICATE]
"""
import os
import socket
import ssl
import sys

port, authority, name, *shown = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.set_alpn_protocols(["http/1.1"])
for certificate in shown:
    context.load_cert_chain(certificate)

with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as plain:
    stream = context.wrap_socket(plain, server_hostname=name)
    stream.sendall(
        b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    incoming = stream.makefile("rb")
    assert incoming.readline().startswith(b"HTTP/1.1 101 ")
    while incoming.readline() != b"\r\n":
        pass

    def send(opcode, payload):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        stream.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def receive():
        first, length = incoming.read(2)
        return first & 15, incoming.read(length)

    for size in (1, 100, 125):
        send(2, bytes(size))
        heard = b""
        while len(heard) < size:
            opcode, payload = receive()
            assert opcode in (0, 2), opcode
            heard += payload
        assert heard == bytes(size)
    send(8, b"\x03\xe8")
    assert receive() == (8, b"\x03\xe8")
    assert incoming.read() == b"", "an end without close_notify would be an error"
    agreed = stream.version(), stream.selected_alpn_protocol()
    stream.unwrap()
    print(*agreed)
