#!/usr/bin/env python3
"""A node of fedmoe that has no records: its updates are zero, with the plan's noise and all masks.

Written from docs/protocol.md alone, to show that it is enough. It keeps what section 1 says and syncs
in the order of section 8.5. `node.py --help` says what it takes.
"""
import argparse
import copy
import os
import sys
import time

try:
    import zmq
    from zmq.utils import z85
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
except ImportError as e:
    print(f"skipped: {e.name} is not installed")
    sys.exit(77)

import digests
import enrol
import identity
import masks
import wire
from books import Book, Ledger
from link import Channel, Ended, Gone, curve_keys, enrolled, knock, log
from session import Session
from wire import Refused, need


def raw_public(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


class Node:
    def __init__(self, options):
        self.folder, self.door = options.identity, options.door
        self.min_cohort, self.purpose = options.min_cohort, options.purpose
        self.vanish, self.output, self.rounds = options.vanish, options.output, 0
        self.context = zmq.Context()
        if options.code:
            self.enrol(enrol.take_code(options.code))
        else:
            self.door_key = z85.decode(options.door_key.encode())
        self.own = identity.Identity(self.read("identity.crt"), self.read("identity.key"))
        first, *rest = identity.pem_certificates(self.read("ca.crt"))
        self.trust = identity.Trust(identity.der_of(first))
        for c in rest:
            self.trust.pin(identity.der_of(c))
        if os.path.exists(self.path("crl.pem")):
            lists = self.read("crl.pem")
            self.trust.know([identity.der_of(c) for c in identity.pem_certificates(lists)])
            for pem in identity.pem_blocks(lists, "X509 CRL"):
                self.trust.revise(identity.der_of(x509.load_pem_x509_crl(pem)))
        self.journal = Book(self.path("journal.jsonl"))
        self.ledger = Ledger(Book(self.path("ledger.jsonl")))
        self.x25519 = X25519PrivateKey.generate()
        self.samplers = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def write(self, name, data, mode=0o644):
        """Whole and synced, or not at all."""
        fd = os.open(self.path(name + ".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(self.path(name + ".new"), self.path(name))

    def enrol(self, code):
        self.door, self.door_key = code["door"], code["door_key"]
        if os.path.exists(self.path("identity.crt")):
            return
        os.makedirs(self.folder, exist_ok=True)
        if not os.path.exists(self.path("identity.key")):
            self.write("identity.key", ed25519.Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption()), 0o600)
        key = serialization.load_pem_private_key(self.read("identity.key"), None)
        m = enrolled(self.context, code, key)
        pem = serialization.Encoding.PEM
        trust, _ = enrol.check_enrolled(code, key, m, int(time.time()))
        self.keep(trust)
        self.write("identity.crt", x509.load_der_x509_certificate(m["certificate"])
                   .public_bytes(pem))
        log(f"enrolled as {code['name']}")

    def keep(self, trust):
        pem = serialization.Encoding.PEM
        self.write("ca.crt", b"".join(c.public_bytes(pem) for c in trust.cas))
        if trust.lists:
            self.write("crl.pem", b"".join(x.public_bytes(pem) for x in [
                *trust.known, *(held[0] for held in trust.lists.values())]))

    def revise(self, m):
        """A newer revocation list, or CA, is on disk before it counts; raises Refused."""
        fresh = copy.copy(self.trust)
        fresh.cas, fresh.known = list(fresh.cas), list(fresh.known)
        fresh.lists = dict(fresh.lists)
        named = bool(m["successor"]) and fresh.succeed(m["successor"], int(time.time()))
        taken = fresh.revise(m["list"], m["path"])
        need(taken or not named, "a new CA without its list")
        need(not named or fresh.list_of(fresh.cas[1]), "a new CA with the list of another")
        if taken:
            self.keep(fresh)
            self.trust = fresh
        return taken

    def sampler(self, sigma):
        if sigma not in self.samplers:
            self.samplers[sigma] = masks.Gaussian(sigma)
        return self.samplers[sigma]

    def connect(self):
        """Section 4.1: Hello, and a session on the same connection, with fresh CURVE keys."""
        keys, public = curve_keys()
        now = int(time.time())
        credential = self.own.credential(public, raw_public(self.x25519.public_key()), now)
        channel = Channel(self.context, self.door, self.door_key, keys, 8 << 20)
        try:
            hub = self.welcomed(channel, credential, public, now)
        except BaseException:
            channel.close()
            raise
        secret = self.x25519.private_bytes(serialization.Encoding.Raw,
                                           serialization.PrivateFormat.Raw,
                                           serialization.NoEncryption())
        return Session(self, channel, hub, credential, secret)

    def welcomed(self, channel, credential, public, now):
        name, m = knock(channel, "Hello", version=wire.VERSION, credential=credential)
        if name == "Refusal":
            raise Ended(f"not let in: {m['reason']}")
        need(name == "Welcome" and m["version"] == wire.VERSION, f"{name} answers Hello")
        hub, s = identity.check_credential(self.trust, m["credential"], "aggregator", now)
        need(s["curve"] == self.door_key, "a statement for another door")
        identity.check_signature(hub.key, "fedmoe welcome v1", digests.welcome(
            s["federation"], public, self.door_key), m["proof"])
        return hub

    def run(self, seconds):
        try:
            self._run(time.monotonic() + seconds)
        finally:
            self.context.term()  # when the last words are out

    def _run(self, end):
        while time.monotonic() < end:
            session = None
            try:
                session = self.connect()
                session.run()
            except Gone as e:
                log(f"{e}; trying again")
                time.sleep(0.2)
            finally:
                if session:
                    session.channel.close()
        raise Refused("not finished in time")


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--identity", required=True, help="folder of identity.key, identity.crt, ca.crt; "
                   "journal and ledger come there, too")
    a.add_argument("--code", help="join code: enrol first, if there is no identity yet")
    a.add_argument("--door", help="tcp://HOST:PORT, without a code")
    a.add_argument("--door-key", help="Z85, without a code")
    a.add_argument("--min-cohort", type=int, default=2)
    a.add_argument("--purpose", default="", help="the only one that is approved; empty: any")
    a.add_argument("--output", help="the result's weights, float32")
    a.add_argument("--vanish", type=int, default=0, metavar="N",
                   help="exit after the start of the N-th round, without an update")
    a.add_argument("--seconds", type=float, default=120)
    options = a.parse_args()
    try:
        Node(options).run(options.seconds)
    except Ended as e:
        log(str(e))
        return 0 if str(e).startswith("finished") else 1
    except Refused as e:
        log(f"refused: {e}")
        return 1


sys.exit(main())
