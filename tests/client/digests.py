"""Digests and the transcript: docs/protocol.md, section 10."""
import struct
from hashlib import blake2b

from wire import need


def u64(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def part(b):
    return u64(len(b)) + b


def H(label, *fields):
    return blake2b(part(label.encode()) + b"".join(fields), digest_size=32).digest()


def indices(p):
    return u64(len(p), *p)


def plan_hash(encoded):
    return H("fedmoe plan v1", part(encoded))


def model_hash(data):
    return H("fedmoe model v1", part(data))


def update_hash(data):
    return H("fedmoe update v1", part(data))


def participants(p):
    return H("fedmoe participants v1", indices(p))


def welcome(federation, connection, door):
    return H("fedmoe welcome v1", connection, door, part(federation.encode()))


def roster(session, members):
    intermediates = [u64(at, len(m["intermediates"])) + b"".join(part(c) for c in m["intermediates"])
                     for at, m in enumerate(members) if m["intermediates"]]
    return H("fedmoe roster v1", session, u64(len(members)), *(
        part(m["certificate"]) + part(m["statement"]) + part(m["signature"]) for m in members),
        *intermediates)


def view(federation, rnd, session, roster_digest, plan, model, p, head):
    """Also what the round start digest is over."""
    return (part(federation.encode()) + u64(rnd) + session + roster_digest + plan + model
            + participants(p) + head)


def round_start(v):
    return H("fedmoe round start v1", v)


def update(v, node, hash_):
    return H("fedmoe update digest v1", v, u64(node), hash_)


def commit(v, survivors, hashes):
    return H("fedmoe commit v1", v, indices(survivors), *hashes)


def finish(federation, rounds, model, head):
    return H("fedmoe finish v1", part(federation.encode()), u64(rounds), model, head)


def enrolment(connection, door, invitation, request):
    return H("fedmoe enrol v1", connection, door, invitation, part(request))


def ledger_mark(federation, plan, rnd, ledger_head):
    return H("fedmoe ledger mark v1", part(federation.encode()), plan, u64(rnd), ledger_head)


def transcript(head, rnd, commit_digest, model_after):
    return H("fedmoe transcript v1", head, u64(rnd), commit_digest, model_after)


def entry(federation, head_after, body):
    return H("fedmoe entry v1", part(federation.encode()), head_after, part(body))


def mark(before, tag, payload):
    return H("fedmoe bundle v1", before, tag, part(payload))


def seal(federation, plan, before, entries, head, time):
    return H("fedmoe bundle seal v1", part(federation.encode()), plan, before, u64(entries), head,
             u64(time))


def follow(rnd, head, entries, claimed):
    """The newest (round, model after) that the entries tell, or None for each; raises Refused."""
    known = None
    last = 0
    for e in entries:
        need(e["round"] > last, "transcript: rounds that do not grow")
        last = e["round"]
        if last > rnd:
            head = transcript(head, last, e["commit_digest"], e["model_after"])
            known = last, e["model_after"]
    need(head == claimed, "transcript: the entries do not lead to the head that is claimed")
    return known
