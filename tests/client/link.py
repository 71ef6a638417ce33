"""Door and session, as a socket: docs/protocol.md, sections 3 and 4."""
import sys
import time

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

import enrol
import wire
from wire import need

HEARTBEAT, SILENCE, CONNECT, AGAIN = 1.0, 10.0, 5.0, 1.0


def log(text):
    print(text, file=sys.stderr, flush=True)


class Gone(Exception):
    """The session, or the way to it, is over; the same again may go well."""


class Ended(Exception):
    """There is nothing to be done here any more."""


class Channel:
    """One DEALER under CURVE."""

    def __init__(self, context, endpoint, server_key, keys, longest):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 500)
        self.socket.setsockopt(zmq.MAXMSGSIZE, longest)
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, int(1000 * CONNECT))
        self.socket.curve_serverkey = z85.encode(server_key)
        self.socket.curve_publickey, self.socket.curve_secretkey = keys
        self.monitor = self.socket.get_monitor_socket(
            zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        self.socket.connect(endpoint)
        self.sent = self.heard = time.monotonic()

    def close(self):
        self.socket.disable_monitor()
        self.monitor.close()
        self.socket.close()

    def say(self, name, **fields):
        self.socket.send(wire.encode(name, **fields))
        self.sent = time.monotonic()

    def hear(self, seconds):
        """(name, message), or None when nothing came; raises Gone, Refused."""
        if self.socket.poll(int(1000 * seconds)):
            frames = self.socket.recv_multipart()
            self.heard = time.monotonic()
            need(len(frames) == 1, "a message of several frames")
            return wire.decode(frames[0])
        while self.monitor.poll(0):
            recv_monitor_message(self.monitor)
            raise Gone("the connection was closed, or refused")
        return None


def curve_keys():
    """(Z85 pair for ZeroMQ, the public one as 32 bytes)"""
    pair = zmq.curve_keypair()
    return pair, z85.decode(pair[0])


def knock(channel, name, **fields):
    """The answer to one message, said again each second."""
    end = time.monotonic() + CONNECT
    while time.monotonic() < end:
        channel.say(name, **fields)
        answer = channel.hear(min(AGAIN, max(0.01, end - time.monotonic())))
        if answer:
            return answer
    raise Gone("the door does not answer")


def enrolled(context, code, key):
    """Section 4.3: the CA's certificate and list, and our own; raises Ended when refused."""
    request = enrol.request(key, code["federation"], code["name"])
    while True:
        keys, public = curve_keys()
        channel = Channel(context, code["door"], code["door_key"], keys, 32768)
        try:
            name, m = knock(channel, "Enrol", version=wire.VERSION,
                            invitation=enrol.invitation(code["token"]), request=request,
                            proof=enrol.prove(code["token"], public, code["door_key"], request))
        finally:
            channel.close()
        if name == "Refusal":
            raise Ended(f"not enrolled: {m['reason']}")
        need(name == "Enrolled", f"{name} answers Enrol")
        if m["certificate"]:
            return m
        time.sleep(AGAIN)
