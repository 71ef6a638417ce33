"""An audit bundle read by other software, from docs/protocol.md alone (sections 10, 15 and 16).

usage: audit_read.py BUNDLE VERIFIED.json
Checks marks, chain, rosters and the hashes of models and updates (no signatures: Python has none of
its own), and that what `fedmoe-node verify --json` says is the same.
"""
import json
import struct
import sys
from hashlib import blake2b


def part(b):
    return struct.pack("<Q", len(b)) + b


def digest(label, *fields):
    return blake2b(part(label.encode()) + b"".join(fields), digest_size=32).digest()


def u64(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def indices(p):
    return u64(len(p), *p)


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        assert self.at + n <= len(self.data), "cut off"
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "little")


def sections(data):
    c, mark = Cursor(data), bytes(32)
    assert c.take(22) == b"fedmoe audit bundle 1\n"
    while c.at < len(data):
        tag = c.take(4)
        payload = c.take(c.number(8))
        mark = digest("fedmoe bundle v1", mark, tag, part(payload))
        assert mark == c.take(32), f"mark of {tag}"
        yield tag.decode(), payload


def fields(data):
    """Of a Protocol Buffers message: (number, value)."""
    c = Cursor(data)

    def varint():
        v = shift = 0
        while True:
            b = c.number(1)
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    while c.at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 1:
            yield key >> 3, c.take(8)
        else:
            yield key >> 3, c.take(varint())


def roster(envelope):
    (_, body), = fields(envelope)
    session, members = None, []
    for number, value in fields(body):
        if number == 1:
            session = value
        else:
            members.append(b"".join(part(v) for _, v in fields(value)))
    return session, digest("fedmoe roster v1", session, u64(len(members)), *members)


def entry(data):
    c, e = Cursor(data), {}
    assert c.number(1) == 1
    e["round"], e["time"] = c.number(8), c.number(8)
    e["session"] = c.take(16)
    for name in ("roster", "plan", "before", "head", "after"):
        e[name] = c.take(32)
    e["participants"] = [c.number(4) for _ in range(c.number(4))]
    e["survivors"], e["updates"] = [], []
    for _ in range(c.number(4)):
        e["survivors"].append(c.number(4))
        e["updates"].append(c.take(32))
        c.take(c.number(1))
        c.take(c.number(1))
    c.take(c.number(4))
    c.take(c.number(1))
    assert c.at == len(data)
    return e


def commit(federation, e):
    view = (part(federation) + u64(e["round"]) + e["session"] + e["roster"] + e["plan"]
            + e["before"] + digest("fedmoe participants v1", indices(e["participants"]))
            + e["head"])
    return digest("fedmoe commit v1", view, indices(e["survivors"]), *e["updates"])


def main():
    said = json.load(open(sys.argv[2]))
    federation = said["federation"].encode()
    head, count, pending = bytes(32), 0, []
    for tag, payload in sections(open(sys.argv[1], "rb").read()):
        if tag == "plan":
            plan = digest("fedmoe plan v1", part(payload))
        elif tag == "modl":
            model = digest("fedmoe model v1", part(payload))
        elif tag == "rost":
            session, members = roster(payload)
        elif tag == "entr":
            e = entry(payload)
            assert (e["plan"], e["head"], e["before"]) == (plan, head, model)
            assert (e["session"], e["roster"]) == (session, members)
            model, count, pending = e["after"], count + 1, list(e["updates"])
            head = digest("fedmoe transcript v1", head, u64(e["round"]), commit(federation, e),
                          model)
        elif tag == "updt":
            assert digest("fedmoe update v1", part(payload)) == pending.pop(0)
        elif tag == "seal":
            assert payload[:40] == u64(count) + head
    assert said["rounds"] == count and said["plan"] == plan.hex()
    assert said["head"] == head.hex() and said["model"] == model.hex()
    print(f"{count} rounds, head {head.hex()}")


main()
