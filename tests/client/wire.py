"""Messages and their one encoding: docs/protocol.md, sections 5 and 6."""
import struct

VERSION = 5
MAX_PIECE = 1 << 20
FIRST_PIECE = 65536
MAX_PLACE = 1 << 32

# Section 6.3, and section 11 for the plan.
SCHEMA = {
    "Credential": "1 certificate bytes, 2 statement bytes, 3 signature bytes, 4 intermediates bytes*",
    "Hello": "1 version u32, 2 credential Credential",
    "Welcome": "1 version u32, 2 credential Credential, 3 proof bytes",
    "Refusal": "1 reason text",
    "Join": "1 finished_round u64, 2 head bytes",
    "LedgerMark": "1 round u64, 2 head bytes, 3 signature bytes",
    "PlanOffer": "1 plan bytes, 2 mark LedgerMark",
    "PlanAnswer": "1 plan_hash bytes, 2 approved bool, 3 reason text",
    "Roster": "1 session bytes, 2 members Credential*",
    "RosterAnswer": "1 roster_hash bytes",
    "TranscriptEntry": "1 round u64, 2 commit_digest bytes, 3 model_after bytes",
    "RoundStart": "1 round u64, 2 session bytes, 3 roster_hash bytes, 4 plan_hash bytes,"
                  " 5 model_hash bytes, 6 participants u32*, 7 head bytes,"
                  " 8 entries TranscriptEntry*, 9 signature bytes",
    "ModelWant": "1 model_hash bytes, 2 at u64",
    "ModelPiece": "1 model_hash bytes, 2 at u64, 3 piece bytes",
    "UpdatePiece": "1 round u64, 2 at u64, 3 piece bytes",
    "UpdateWant": "1 round u64, 2 until u64",
    "MaskedUpdate": "1 round u64, 2 signature bytes",
    "Survivors": "1 round u64, 2 survivors u32*, 3 update_hashes bytes*,"
                 " 4 update_signatures bytes*",
    "Commit": "1 round u64, 2 signature bytes",
    "Commits": "1 round u64, 2 signatures bytes*",
    "PairSeed": "1 lost u32, 2 seed bytes",
    "Release": "1 round u64, 2 self_seed bytes, 3 pair_seeds PairSeed*, 4 surplus_seeds bytes*,"
               " 5 ledger_head bytes, 6 ledger_signature bytes",
    "Abandon": "1 round u64, 2 reason text, 3 final bool",
    "Finish": "1 rounds u64, 2 model_hash bytes, 3 head bytes, 4 entries TranscriptEntry*,"
              " 5 signature bytes",
    "Ping": "1 sequence u64",
    "Enrol": "1 version u32, 2 invitation bytes, 3 request bytes, 4 proof bytes",
    "Successor": "1 authority bytes, 2 signature bytes",
    "Enrolled": "1 certificate bytes, 2 authority bytes, 3 revocations bytes, 4 successor Successor,"
                " 5 successor_revocations bytes",
    "Revocations": "1 list bytes, 2 path bytes*, 3 successor Successor",
    "Renew": "1 version u32, 2 credential Credential, 3 request bytes",
}
BODIES = ("Hello Welcome Refusal Join PlanOffer PlanAnswer Roster RosterAnswer RoundStart MaskedUpdate"
          " Survivors Commit Commits Release Abandon Finish Ping Enrol Enrolled Revocations Renew"
          " ModelWant ModelPiece UpdatePiece UpdateWant").split()
OF_DOOR = {"Hello", "Welcome", "Refusal", "Enrol", "Enrolled", "Renew"}


class Refused(Exception):
    """What came is not what it must be."""


def need(ok, why):
    if not ok:
        raise Refused(why)


def fields_of(name):
    if isinstance(SCHEMA[name], str):
        rows = (f.split() for f in SCHEMA[name].split(","))
        SCHEMA[name] = [(int(n), field, kind) for n, field, kind in rows]
    return SCHEMA[name]


def default(kind):
    if kind.endswith("*"):
        return []
    return {"u32": 0, "u64": 0, "bool": False, "f64": 0.0, "bytes": b"", "text": ""}.get(kind)


# ---- writing ----

def varint(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def long_field(number, data):
    return varint(8 * number + 2) + varint(len(data)) + data


def put_one(number, kind, value):
    if kind in ("u32", "bool"):
        return varint(8 * number) + varint(int(value))
    if kind == "u64":
        return varint(8 * number + 1) + struct.pack("<Q", value)
    if kind == "f64":
        return varint(8 * number + 1) + struct.pack("<d", value)
    if kind == "bytes":
        return long_field(number, value)
    if kind == "text":
        return long_field(number, value.encode())
    return long_field(number, pack(kind, value))


def pack(name, message):
    out = b""
    for number, field, kind in fields_of(name):
        value = message.get(field, default(kind))
        if kind == "u32*":
            if value:
                out += long_field(number, b"".join(varint(v) for v in value))
        elif kind.endswith("*"):
            out += b"".join(put_one(number, kind[:-1], v) for v in value)
        elif value is not None and value != default(kind):
            out += put_one(number, kind, value)
    return out


# ---- reading ----

class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(0 <= n <= len(self.data) - self.at, "cut off")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "little")

    def varint(self):
        v = 0
        for shift in range(0, 70, 7):
            b = self.number(1)
            v |= (b & 127) << shift
            if b < 128:
                return v
        raise Refused("a varint of more than ten bytes")

    def end(self):
        return self.at == len(self.data)


def take_one(c, wire, kind):
    if kind in ("u32", "bool"):
        need(wire == 0, "wire type")
        v = c.varint()
        need(v < (2 if kind == "bool" else 1 << 32), "a number out of its range")
        return bool(v) if kind == "bool" else v
    if kind in ("u64", "f64"):
        need(wire == 1, "wire type")
        return struct.unpack("<Q" if kind == "u64" else "<d", c.take(8))[0]
    need(wire == 2, "wire type")
    data = c.take(c.varint())
    if kind == "bytes":
        return data
    if kind == "text":
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise Refused("text that is no UTF-8") from None
    return unpack(kind, data)


def unpack(name, data):
    known = {number: (field, kind) for number, field, kind in fields_of(name)}
    message = {field: default(kind) for _, field, kind in fields_of(name)}
    c = Cursor(data)
    while not c.end():
        key = c.varint()
        need(key >> 3 in known, f"{name}: a field that is not known")
        field, kind = known[key >> 3]
        if kind == "u32*":
            need(key & 7 == 2, "wire type")
            packed = Cursor(c.take(c.varint()))
            while not packed.end():
                message[field].append(take_one(packed, 0, "u32"))
        elif kind.endswith("*"):
            message[field].append(take_one(c, key & 7, kind[:-1]))
        else:
            message[field] = take_one(c, key & 7, kind)
    return message


# ---- limits ----

def is_text(text, lines=False):
    return all(not (ord(ch) < 32 and not (lines and ch in "\t\r\n")) and not 127 <= ord(ch) < 160
               for ch in text)


def sized(value, low, high, what):
    need(low <= len(value) <= high, f"{what}: {len(value)} bytes, must be {low} to {high}")


HASHES = {"head", "plan_hash", "roster_hash", "model_hash", "commit_digest", "model_after",
          "ledger_head", "update_hashes"}
SEEDS = {"self_seed", "seed", "surplus_seeds"}
SIGNATURES = {"signature", "signatures", "update_signatures", "ledger_signature"}
INDICES = {"participants", "survivors"}
RANGES = {  # of bytes
    ("Credential", "certificate"): (1, 8192), ("Credential", "statement"): (1, 202),
    ("PlanOffer", "plan"): (1, 1 << 20), ("Enrol", "invitation"): (32, 32),
    ("Enrol", "request"): (1, 4096), ("Renew", "request"): (1, 4096), ("Enrol", "proof"): (64, 64),
    ("Welcome", "proof"): (1, 96),
    ("Revocations", "list"): (1, 1 << 20), ("ModelPiece", "piece"): (1, MAX_PIECE),
    ("UpdatePiece", "piece"): (1, MAX_PIECE), ("Roster", "session"): (16, 16),
    ("RoundStart", "session"): (16, 16), ("Enrolled", "certificate"): (0, 8192),
    ("Enrolled", "authority"): (0, 8192), ("Enrolled", "revocations"): (0, 12288),
    ("Successor", "authority"): (1, 2048),
}
COUNTS = {  # of elements
    ("Roster", "members"): (1, 1024), ("RoundStart", "participants"): (1, 1024),
    ("Survivors", "survivors"): (1, 1024), ("Commits", "signatures"): (1, 1024),
    ("Release", "pair_seeds"): (0, 1024), ("Release", "surplus_seeds"): (0, 128),
    ("RoundStart", "entries"): (0, 16384), ("Finish", "entries"): (0, 16384),
    ("Credential", "intermediates"): (0, 2), ("Revocations", "path"): (0, 2),
}


def increasing(p):
    return all(a < b for a, b in zip(p, p[1:]))


def check_field(name, field, value):
    for one in value if isinstance(value, list) else [value]:
        if field in HASHES or field in SEEDS:
            sized(one, 32, 32, field)
        elif field in SIGNATURES:
            sized(one, 1, 96, field)
        elif field == "reason":
            sized(one.encode(), 0, 512, field)
            need(is_text(one), "a reason with a control character")
        elif field in ("intermediates", "path"):
            sized(one, 1, 4096, field)
    if (name, field) in RANGES:
        sized(value, *RANGES[name, field], field)
    if (name, field) in COUNTS:
        sized(value, *COUNTS[name, field], f"{field} (elements)")
    if field in INDICES:
        need(increasing(value) and value[-1] < 1024, f"{field}: not increasing, or too high")
    if field == "round":
        need(value >= 1, "round 0")
    if field in ("at", "until"):
        need(value <= MAX_PLACE, f"{field}: behind the longest")
    if field == "version":
        need(value >= 1, "version 0")


def check(name, m):
    """Section 6.2, and of section 5 what concerns the message."""
    for _, field, kind in fields_of(name):
        value = m[field]
        if kind.rstrip("*") in SCHEMA:
            need(value is not None or field in ("mark", "successor"), f"{field}: missing")
            for one in value if kind.endswith("*") else [value]:
                if one is not None:
                    check(kind.rstrip("*"), one)
        check_field(name, field, value)
    if name == "Join":
        need(m["finished_round"] > 0 or m["head"] == bytes(32), "a head of no round")
    elif name == "Enrolled":
        need(bool(m["certificate"]) == bool(m["authority"]), "one certificate of two")
        need(m["certificate"] or not (m["revocations"] or m["successor"]), "no certificate")
        need(m["successor"] or not m["successor_revocations"], "a list of no successor")
        need(len(m["revocations"]) + len(m["successor_revocations"]) <= 12288, "lists too long")
    elif name in ("RoundStart", "Finish"):
        rounds = [e["round"] for e in m["entries"]]
        need(increasing(rounds), "entries: not increasing")
        need(name == "Finish" or not rounds or rounds[-1] < m["round"], "entries: not before")
    elif name == "Survivors":
        need(len(m["survivors"]) == len(m["update_hashes"]) == len(m["update_signatures"]),
             "lists of different lengths")
    elif name == "Release":
        lost = [p["lost"] for p in m["pair_seeds"]]
        need(increasing(lost) and (not lost or lost[-1] < 1024), "pair_seeds: not increasing")
    elif name in ("ModelPiece", "UpdatePiece"):
        need(m["at"] + len(m["piece"]) <= MAX_PLACE, "a piece behind the longest")


# ---- envelopes ----

def encode(name, **message):
    full = {field: message.get(field, default(kind)) for _, field, kind in fields_of(name)}
    assert set(message) <= set(full), f"{name}: no such field"
    check(name, full)
    return long_field(BODIES.index(name) + 1, pack(name, full))


def decode(data):
    """(name, message); raises Refused."""
    c = Cursor(data)
    key = c.varint()
    need(key & 7 == 2 and 1 <= key >> 3 <= len(BODIES), "no body that is known")
    name = BODIES[(key >> 3) - 1]
    message = unpack(name, c.take(c.varint()))
    check(name, message)
    need(encode(name, **message) == data, f"{name}: not in its one encoding")
    return name, message
