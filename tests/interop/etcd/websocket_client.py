"""A websocket client (RFC 6455) for texts, as etcd's gateway takes them: one JSON value a message, either way."""
import base64
import json
import os
import socket
import struct

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class WebsocketClient:
    """One connection to a path of a plain HTTP server."""

    def __init__(self, address, path, seconds_max):
        host, port = address.rsplit(':', 1)
        self.socket = socket.create_connection((host, int(port)), timeout=seconds_max)
        self.file = self.socket.makefile('rb')
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f'GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                            f'Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n'.encode())
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() not in (b'\r\n', b''):
            pass

    def send(self, value):
        """Sends a value as one message; clients mask theirs."""
        payload, mask = json.dumps(value).encode(), os.urandom(4)
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0x80 | 126]) + struct.pack('>H', len(payload))
        masked = bytes(octet ^ mask[place % 4] for place, octet in enumerate(payload))
        self.socket.sendall(bytes([0x80 | TEXT]) + length + mask + masked)

    def frame(self):
        """(kind, payload) of the next frame; servers' frames are not masked."""
        first, second = self.file.read(2)
        length = second & 127
        if length >= 126:
            form = '>H' if length == 126 else '>Q'
            length, = struct.unpack(form, self.file.read(struct.calcsize(form)))
        return first & 15, self.file.read(length)

    def receive(self):
        """The next value; None if the server closes."""
        while True:
            kind, payload = self.frame()
            if kind == CLOSE:
                return None
            if kind == TEXT:
                return json.loads(payload)

    def close(self):
        """Ends the connection without a word."""
        self.socket.close()
