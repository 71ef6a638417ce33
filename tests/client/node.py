#!/usr/bin/env python3
"""A node of fedmoe that has no records: its updates are zero, with the plan's noise and all masks.

Written from docs/protocol.md alone, to show that it is enough. It keeps what section 1 says and syncs
in the order of section 8.5. `node.py --help` says what it takes.
"""
import argparse
import json
import os
import sys
import time

try:
    import zmq
    from zmq.utils import z85
    from zmq.utils.monitor import recv_monitor_message
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
import plan as plans
import wire
from digests import H, part
from wire import Refused, need

HEARTBEAT, SILENCE, CONNECT, AGAIN = 1.0, 10.0, 5.0, 1.0


def log(text):
    print(text, file=sys.stderr, flush=True)


class Gone(Exception):
    """The session, or the way to it, is over; the same again may go well."""


class Ended(Exception):
    """There is nothing to be done here any more."""


def raw_public(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


# ---- what is kept: section 8.5 ----

class Book:
    """Lines of JSON; each is on disk when `add` returns."""

    def __init__(self, path):
        self.path = path
        with open(path, "ab"):
            pass
        with open(path, encoding="ascii") as f:
            self.lines = [json.loads(line) for line in f.read().splitlines()]

    def add(self, **line):
        with open(self.path, "a", encoding="ascii") as f:
            f.write(json.dumps(line) + "\n")
            f.flush()
            os.fsync(f.fileno())
        self.lines.append(line)


class Journal:
    """Of one plan: rounds used, committed and released; how far the transcript is known."""

    def __init__(self, book, plan_hash):
        self.book, self.plan = book, plan_hash.hex()

    def _of(self, what):
        return [x for x in self.book.lines if x["plan"] == self.plan and x["what"] == what]

    def _add(self, what, rnd, data=b""):
        self.book.add(plan=self.plan, what=what, round=rnd, data=data.hex())

    def last_used(self):
        return max((x["round"] for x in self._of("used")), default=0)

    def digest_of(self, what, rnd):
        return next((bytes.fromhex(x["data"]) for x in self._of(what) if x["round"] == rnd), None)

    def transcript(self):
        heads = self._of("head")
        return (heads[-1]["round"], bytes.fromhex(heads[-1]["data"])) if heads else (0, bytes(32))

    def use(self, rnd):
        need(rnd > self.last_used(), f"round {rnd} was used")
        self._add("used", rnd)

    def commit(self, rnd, digest):
        need(self.digest_of("committed", rnd) is None, f"round {rnd} has a commit")
        self._add("committed", rnd, digest)

    def release(self, rnd, digest):
        need(self.digest_of("released", rnd) is None, f"round {rnd} was released")
        need(self.digest_of("committed", rnd) == digest, f"round {rnd} has another commit")
        self._add("released", rnd, digest)

    def head(self, rnd, head):
        if (rnd, head) != self.transcript():
            self._add("head", rnd, head)


class Ledger:
    """What was spent; the hash of an entry stands for all before it."""

    def __init__(self, book):
        self.book = book

    def heads(self):
        return [bytes.fromhex(x["hash"]) for x in self.book.lines]

    def charge(self, plan_hash, rnd):
        before = self.heads()[-1] if self.book.lines else bytes(32)
        head = H("client ledger", before, plan_hash, part(str(rnd).encode()))
        self.book.add(plan=plan_hash.hex(), round=rnd, hash=head.hex())
        return head


# ---- sockets: sections 3 and 4 ----

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


def knock(context, door, door_key, keys, name, **fields):
    """The door's answer to one message, said again each second."""
    channel = Channel(context, door, door_key, keys, 32768)
    end = time.monotonic() + CONNECT
    try:
        while time.monotonic() < end:
            channel.say(name, **fields)
            answer = channel.hear(min(AGAIN, max(0.01, end - time.monotonic())))
            if answer:
                return answer
    finally:
        channel.close()
    raise Gone("the door does not answer")


def enrolled(context, code, key):
    """Section 4.3: the CA's certificate and list, and our own; raises Ended when refused."""
    request = enrol.request(key, code["federation"], code["name"])
    while True:
        keys, public = curve_keys()
        name, m = knock(context, code["door"], code["door_key"], keys, "Enrol", version=wire.VERSION,
                        invitation=enrol.invitation(code["token"]), request=request,
                        proof=enrol.prove(code["token"], public, code["door_key"], request))
        if name == "Refusal":
            raise Ended(f"not enrolled: {m['reason']}")
        need(name == "Enrolled", f"{name} answers Enrol")
        if m["certificate"]:
            enrol.check_enrolled(code, key, m, int(time.time()))
            return m
        time.sleep(AGAIN)


# ---- one round ----

class Round:
    """What a node keeps of the round under way."""

    def __init__(self, start):
        self.number, self.start = start["round"], start
        self.sent, self.until, self.told = 0, wire.FIRST_PIECE, False
        self.update = None  # once it is made
        self.survivors = self.commit = None


class Model:
    """Bytes of a model on their way here, or here: section 8.2."""

    def __init__(self, hash_):
        self.hash, self.data, self.whole = hash_, bytearray(), False

    def take(self, m, size):
        """Whether the piece was taken; raises Refused."""
        if m["model_hash"] != self.hash or self.whole:
            return False
        need(m["at"] == len(self.data) and m["at"] + len(m["piece"]) <= size,
             "a piece in a wrong place")
        self.data += m["piece"]
        if len(self.data) == size:
            need(digests.model_hash(bytes(self.data)) == self.hash, "another model than named")
            exponents = self.data[3::4], self.data[2::4]
            need(all(a & 127 != 127 or b < 128 for a, b in zip(*exponents)), "not finite")
            self.whole = True
        return True


class Session:
    """A node in one session: sections 7 and 8."""

    def __init__(self, node, channel, hub, credential, x25519):
        self.node, self.channel, self.hub = node, channel, hub
        self.credential, self.x25519 = credential, x25519
        self.federation = node.own.federation
        self.plan = self.roster = self.round = self.pending = self.model = None
        self.state = "OFFERED"

    def run(self):
        self.channel.say("Ping")
        pings = 0
        while True:
            try:
                heard = self.channel.hear(0.2)
            except Refused as e:
                raise Gone(f"what came is no message: {e}") from None
            now = time.monotonic()
            if heard:
                self.take(*heard)
            elif now - self.channel.heard > SILENCE:
                raise Gone("the aggregator is silent")
            if now - self.channel.sent > HEARTBEAT:
                pings += 1
                self.channel.say("Ping", sequence=pings)

    STATES = {  # section 6.1
        "PlanOffer": {"OFFERED"},
        "Roster": {"PLANNED", "ROSTERED", "MODEL", "SURVIVORS", "COMMITS"},
        "RoundStart": {"ROSTERED", "MODEL", "SURVIVORS", "COMMITS"},
        "Survivors": {"SURVIVORS"}, "Commits": {"COMMITS"},
        "Ping": {"OFFERED"}, "Revocations": {"OFFERED"},
    }
    STATES.update(dict.fromkeys(("Abandon", "Finish", "ModelPiece", "UpdateWant"), STATES["Roster"]))
    for _any in ("Ping", "Revocations"):
        STATES[_any] = STATES["Roster"] | STATES["PlanOffer"]

    def take(self, name, m):
        if name == "Refusal":
            raise Gone(f"refused: {m['reason']}")
        if name in wire.OF_DOOR:
            raise Gone(f"{name} in a session")
        try:
            need(self.state in self.STATES.get(name, ()), f"it came in the state {self.state}")
            getattr(self, "take_" + name.lower())(m)
        except Refused as e:
            log(f"{name} refused: {e}")

    def take_ping(self, _):
        pass

    def take_revocations(self, m):
        if not self.node.revise(m["list"]) or not self.roster:
            return
        self.roster.check_barred(self.node.trust)
        if self.state == "COMMITS" and self.roster.barred & set(self.round.survivors):
            self.abandon("a member of the round was revoked")

    # -- before the first round --

    def take_planoffer(self, m):
        hash_ = digests.plan_hash(m["plan"])
        try:
            plan, lattice = plans.approve(m["plan"], self.federation)
            need(plan["purpose"] == self.node.purpose or not self.node.purpose, "another purpose")
        except Refused as e:
            self.channel.say("PlanAnswer", plan_hash=hash_, approved=False, reason=str(e))
            raise Ended(f"the plan is refused: {e}") from None
        self.check_mark(hash_, m["mark"])
        self.plan, self.lattice, self.plan_hash = plan, lattice, hash_
        self.size = 4 * plan["parameters"]
        self.journal = Journal(self.node.journal, hash_)
        self.known, self.head = self.journal.transcript()
        self.model_known = plan["initial_model"] if self.known == 0 else None
        self.channel.say("Join", finished_round=self.known, head=self.head)
        self.channel.say("PlanAnswer", plan_hash=hash_, approved=True)
        self.state = "PLANNED"
        log("plan approved")

    def check_mark(self, hash_, mark):
        if mark is None:
            return
        digest = digests.ledger_mark(self.federation, hash_, mark["round"], mark["head"])
        try:
            identity.check_signature(self.node.own.certificate.public_key(), "fedmoe ledger mark v1",
                                     digest, mark["signature"])
        except Refused:
            return
        if mark["head"] not in self.node.ledger.heads():
            raise Ended("the ledger is older than what this node has signed")

    def take_roster(self, m):
        roster = Roster(self, m)
        self.close()
        self.roster, self.state = roster, "ROSTERED"
        self.channel.say("RosterAnswer", roster_hash=roster.digest)
        log(f"roster of {len(roster.members)} verified")

    # -- a round --

    def view(self):
        s = self.round.start
        return digests.view(self.federation, s["round"], s["session"], s["roster_hash"],
                            s["plan_hash"], s["model_hash"], s["participants"], s["head"])

    def follow(self, m):
        """(round, head, model): what the entries of RoundStart or Finish tell."""
        told = digests.follow(self.known, self.head, m["entries"], m["head"])
        for e in m["entries"]:
            released = self.journal.digest_of("released", e["round"])
            need(released in (None, e["commit_digest"]), "another round than the one released")
        return (told[0], m["head"], told[1]) if told else (self.known, self.head, self.model_known)

    def take_roundstart(self, m):
        p, plan, roster = m["participants"], self.plan, self.roster
        need(m["round"] > max(self.journal.last_used(), self.known), "an old round")
        need((m["session"], m["roster_hash"], m["plan_hash"])
             == (roster.session, roster.digest, self.plan_hash), "of another session or plan")
        digest = digests.round_start(digests.view(
            self.federation, m["round"], m["session"], m["roster_hash"], m["plan_hash"],
            m["model_hash"], p, m["head"]))
        identity.check_signature(self.hub.key, "fedmoe round start v1", digest, m["signature"])
        need(len(p) >= max(self.node.min_cohort, plan["min_cohort"], plan["quorum"]), "too few")
        need(2 * plan["quorum"] > len(p) + plan["colluders"], "too many for the quorum")
        need(p[-1] < len(roster.members) and roster.self in p, "not of this roster, or without us")
        now = int(time.time())
        need(all(roster.members[u].valid_at(now) for u in p), "a certificate has ended")
        need(not roster.barred & set(p), "a participant was revoked")
        rnd, head, model = self.follow(m)
        need(m["round"] > rnd, "a round in its own transcript")
        need(model in (None, m["model_hash"]), "not the model that the transcript ends with")
        self.close()
        self.round, self.pending, self.state = Round(m), ("RoundStart", rnd, head, model), "MODEL"
        self.fetch(m["model_hash"])

    def fetch(self, hash_):
        if self.model and self.model.hash == hash_:
            if self.model.whole:
                self.model_is_here()
            return
        self.model = Model(hash_)
        self.channel.say("ModelWant", model_hash=hash_, at=0)

    def take_modelpiece(self, m):
        if not self.model:
            return
        try:
            if not self.model.take(m, self.size):
                return
        except Refused:
            self.model = None
            if self.state == "MODEL" and self.pending[0] == "RoundStart":
                self.abandon("this node could not do its part of the round")
            elif self.state == "MODEL":
                self.state = "ROSTERED"
            raise
        finishes = self.state == "MODEL" and self.pending[0] == "Finish"
        if not (self.model.whole and finishes):
            self.channel.say("ModelWant", model_hash=m["model_hash"], at=len(self.model.data))
        if self.model.whole and self.state == "MODEL":
            self.model_is_here()

    def model_is_here(self):
        what, rnd, head, model = self.pending[:4]
        if rnd:
            self.journal.head(rnd, head)
        self.known, self.head, self.model_known = rnd, head, model
        if what == "Finish":
            self.end()
        else:
            self.make_update()

    def make_update(self):
        r, roster, bits = self.round, self.roster, self.plan["word_bits"]
        p = r.start["participants"]
        self.journal.use(r.number)
        self.node.rounds += 1
        if self.node.rounds == self.node.vanish:
            log(f"round {r.number}: gone, as asked")
            os._exit(0)
        words = [0] * plans.words(self.plan)
        of = masks.levels(self.lattice.sigma, len(p), self.plan["quorum"], self.plan["colluders"],
                          self.plan["noise"] == plans.LOCAL)
        r.levels, r.level_seeds = of, [os.urandom(32) for _ in of]
        for (_, sigma), seed in zip(of, r.level_seeds):
            noise = self.node.sampler(sigma).expand(seed, len(words))
            words = [a + b for a, b in zip(words, noise)]
        context = masks.round_context(r.number, self.plan_hash, r.start["model_hash"], p)
        r.self_seed = os.urandom(32)
        words = masks.add(words, r.self_seed, 1, bits)
        r.keys = {v: masks.mask_key(roster.secrets[v], context) for v in p if v != roster.self}
        for v, key in r.keys.items():
            words = masks.add(words, key, masks.sign_of(roster.self, v), bits)
        r.update = masks.bytes_of(words, bits)
        r.hash = digests.update_hash(r.update)
        self.state = "SURVIVORS"
        self.send_update()

    def send_update(self):
        """As far as the aggregator said: section 8.2."""
        r = self.round
        while r.sent < min(r.until, len(r.update)):
            piece = r.update[r.sent:min(r.until, r.sent + 65536)]
            self.channel.say("UpdatePiece", round=r.number, at=r.sent, piece=piece)
            r.sent += len(piece)
        if r.sent == len(r.update) and not r.told:
            digest = digests.update(self.view(), self.roster.self, r.hash)
            self.channel.say("MaskedUpdate", round=r.number,
                             signature=self.node.own.sign("fedmoe update v1", digest))
            r.told = True

    def take_updatewant(self, m):
        if self.state == "SURVIVORS" and m["round"] == self.round.number and m["until"] > self.round.until:
            self.round.until = m["until"]
            self.send_update()

    def take_survivors(self, m):
        r, roster, u = self.round, self.roster, m["survivors"]
        need(m["round"] == r.number, "of another round")
        need(set(u) <= set(r.start["participants"]), "survivors that took no part")
        need(roster.self in u, "without this node")
        need(len(u) >= max(self.plan["quorum"], self.node.min_cohort), "too few survivors")
        need(not roster.barred & set(u), "a survivor was revoked")
        v = self.view()
        for at, node in enumerate(u):
            need(node != roster.self or m["update_hashes"][at] == r.hash, "not the update sent")
            identity.check_signature(roster.members[node].key, "fedmoe update v1",
                                     digests.update(v, node, m["update_hashes"][at]),
                                     m["update_signatures"][at])
        r.survivors, r.commit = u, digests.commit(v, u, m["update_hashes"])
        self.journal.commit(r.number, r.commit)
        self.channel.say("Commit", round=r.number,
                         signature=self.node.own.sign("fedmoe commit v1", r.commit))
        self.state = "COMMITS"

    def take_commits(self, m):
        r, roster = self.round, self.roster
        need(m["round"] == r.number, "of another round")
        need(len(m["signatures"]) == len(r.survivors), "not of all survivors")
        for node, signature in zip(r.survivors, m["signatures"]):
            identity.check_signature(roster.members[node].key, "fedmoe commit v1", r.commit, signature)
        head = self.node.ledger.charge(self.plan_hash, r.number)
        self.journal.release(r.number, r.commit)
        mark = digests.ledger_mark(self.federation, self.plan_hash, r.number, head)
        lost = [v for v in r.start["participants"] if v not in r.survivors]
        stay = masks.kept(r.levels, len(r.start["participants"]), len(r.survivors))
        self.channel.say("Release", round=r.number, self_seed=r.self_seed,
                         pair_seeds=[{"lost": v, "seed": r.keys[v]} for v in lost],
                         surplus_seeds=r.level_seeds[stay:], ledger_head=head,
                         ledger_signature=self.node.own.sign("fedmoe ledger mark v1", mark))
        log(f"round {r.number} released: {len(r.survivors)} survivors, lost {lost}")
        self.close()

    def take_abandon(self, m):
        need(not self.round or m["round"] == self.round.number, "of another round")
        log(f"round {m['round']} abandoned: {m['reason']}")
        self.close()

    def abandon(self, reason):
        self.channel.say("Abandon", round=self.round.number, reason=reason)
        self.close()

    def close(self):
        """The round's seeds go with it."""
        self.round = None
        if self.state in ("MODEL", "SURVIVORS", "COMMITS"):
            self.state = "ROSTERED"

    # -- the end --

    def take_finish(self, m):
        digest = digests.finish(self.federation, m["rounds"], m["model_hash"], m["head"])
        identity.check_signature(self.hub.key, "fedmoe finish v1", digest, m["signature"])
        told = self.follow(m)
        self.close()
        self.pending, self.state = ("Finish", *told, m["rounds"]), "MODEL"
        self.fetch(m["model_hash"])

    def end(self):
        self.state = "FINISHED"
        if self.node.output:
            with open(self.node.output, "wb") as f:
                f.write(self.model.data)
        self.channel.say("ModelWant", model_hash=self.model.hash, at=self.size)
        raise Ended(f"finished: {self.pending[4]} rounds, model {self.model.hash.hex()}")


class Roster:
    """All members verified, and the pair secrets with them: sections 7.3 and 9.1."""

    def __init__(self, session, m):
        members, node = m["members"], session.node
        need(node.min_cohort <= len(members) <= session.plan["max_nodes"], "too few or too many")
        need(members.count(session.credential) == 1, "our credential is not in it, once")
        self.self, self.session = members.index(session.credential), m["session"]
        now = int(time.time())
        checked = [identity.check_credential(node.trust, c, "node", now) for c in members]
        self.members = [member for member, _ in checked]
        keys = [s["x25519"] for _, s in checked]
        for values in ([x.name for x in self.members], [s["curve"] for _, s in checked], keys):
            need(len(set(values)) == len(values), "something stands in it twice")
        self.digest = digests.roster(m["session"], members)
        self.secrets = [None if v == self.self else masks.pair_secret(
            masks.agree(session.x25519, key), session.federation, self.session, self.digest,
            self.self, v, keys[self.self], key) for v, key in enumerate(keys)]
        self.barred = set()

    def check_barred(self, trust):
        self.barred = {i for i, x in enumerate(self.members)
                       if trust.revoked_at(x.certificate) is not None}


# ---- the node ----

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
        self.trust = identity.Trust(identity.der_of(x509.load_pem_x509_certificate(
            self.read("ca.crt"))))
        if os.path.exists(self.path("crl.pem")):
            self.trust.revise(identity.der_of(x509.load_pem_x509_crl(self.read("crl.pem"))))
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
        self.write("ca.crt", x509.load_der_x509_certificate(m["authority"]).public_bytes(pem))
        if m["revocations"]:
            self.write("crl.pem", x509.load_der_x509_crl(m["revocations"]).public_bytes(pem))
        self.write("identity.crt", x509.load_der_x509_certificate(m["certificate"])
                   .public_bytes(pem))
        log(f"enrolled as {code['name']}")

    def revise(self, der):
        """A newer revocation list is on disk before it counts."""
        before = self.trust.crl, self.trust.crl_der, self.trust.crl_number
        if not self.trust.revise(der):
            return False
        try:
            self.write("crl.pem", self.trust.crl.public_bytes(serialization.Encoding.PEM))
        except OSError:
            self.trust.crl, self.trust.crl_der, self.trust.crl_number = before
            raise
        return True

    def sampler(self, sigma):
        if sigma not in self.samplers:
            self.samplers[sigma] = masks.Gaussian(sigma)
        return self.samplers[sigma]

    def connect(self):
        """Section 4.1: through the door into a session, with fresh CURVE keys."""
        keys, public = curve_keys()
        now = int(time.time())
        credential = self.own.credential(public, raw_public(self.x25519.public_key()), now)
        name, m = knock(self.context, self.door, self.door_key, keys, "Hello", version=wire.VERSION,
                        credential=credential)
        if name == "Refusal":
            raise Ended(f"not let in: {m['reason']}")
        need(name == "Welcome" and m["version"] == wire.VERSION, f"{name} answers Hello")
        hub, s = identity.check_credential(self.trust, m["credential"], "aggregator", now)
        endpoint = f"{self.door.rpartition(':')[0]}:{m['session_port']}"
        channel = Channel(self.context, endpoint, s["curve"], keys, 8 << 20)
        secret = self.x25519.private_bytes(serialization.Encoding.Raw,
                                           serialization.PrivateFormat.Raw,
                                           serialization.NoEncryption())
        return Session(self, channel, hub, credential, secret)

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
