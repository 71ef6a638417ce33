#!/usr/bin/env python3
"""The known values of test_digest.c, of test_invitation.c and of tests/dp/test_lattice.c, computed
from docs/protocol.md alone (sections 4, 10 and 11)."""
import math
from base64 import b32encode
from hashlib import blake2b


def u64(v):
    return v.to_bytes(8, "little")


def part(b):
    return u64(len(b)) + b


def digest(label, *fields):
    return blake2b(part(label.encode()) + b"".join(fields), digest_size=32)


def hash_of(label, data):
    return digest(label, part(data)).hexdigest()


def sample(first):
    return bytes((first + i) % 256 for i in range(32))


def fill(n, first):
    return bytes((first + 7 * i) % 256 for i in range(n))


def indices(p):
    return u64(len(p)) + b"".join(u64(i) for i in p)


def participants(p):
    return digest("fedmoe participants v1", indices(p)).digest()


def view(session, roster, plan, model, head, rnd, p):
    return (part(b"heart-2026") + u64(rnd) + session + roster + plan + model
            + participants(p) + head)


V = view(bytes(range(1, 17)), sample(1), sample(2), sample(3), sample(4), 7, [0, 2, 5])
START = view(fill(16, 81), sample(6), sample(7), sample(8), sample(9), 7, [0, 3, 200, 1023])
ROSTER = fill(16, 80) + u64(3) + b"".join(
    part(fill(50 + i, i + 1)) + part(fill(20 + i, i + 2)) + part(fill(64, i + 3)) for i in range(3))

COMMIT = digest("fedmoe commit v1", V, indices([0, 2]), sample(10), sample(11)).digest()


def u32(v):
    return v.to_bytes(4, "little")


def short(b):
    return bytes([len(b)]) + b


def survivor(i, index):
    return (u32(index) + sample(10 + i) + short(fill(64 - i, 19 + i))
            + short(fill(64 - i, 23 + i)))


# The sample entry of samples.c, and the bundle of test_bundle.c.
BODY = (b"\x01" + u64(7) + u64(1767225600) + bytes(range(1, 17)) + sample(1) + sample(2)
        + sample(3) + sample(4) + sample(5) + u32(3) + u32(0) + u32(2) + u32(5) + u32(2)
        + survivor(0, 0) + survivor(1, 2) + u32(40) + fill(40, 17))
HEAD_AFTER = digest("fedmoe transcript v1", sample(4), u64(7), COMMIT, sample(5)).digest()
ENTRY = BODY + short(fill(64, 19))
MARK = bytes(32)
for tag, payload in ((b"plan", b"abcd"), (b"entr", ENTRY)):
    MARK = digest("fedmoe bundle v1", MARK, tag, part(payload)).digest()

VECTORS = {
    "model": hash_of("fedmoe model v1", b"abcd"),
    "update_bytes": hash_of("fedmoe update v1", b"abcd"),
    "plan": hash_of("fedmoe plan v1", b"abcd"),
    "participants": participants([0, 2, 5]).hex(),
    "roster": digest("fedmoe roster v1", ROSTER).hexdigest(),
    "round_start": digest("fedmoe round start v1", START).hexdigest(),
    "update": digest("fedmoe update digest v1", V, u64(2), sample(9)).hexdigest(),
    "commit": digest("fedmoe commit v1", V, indices([0, 2]), sample(10), sample(11)).hexdigest(),
    "finish": digest("fedmoe finish v1", part(b"heart-2026"), u64(9), sample(4),
                     sample(5)).hexdigest(),
    "entry": digest("fedmoe entry v1", part(b"heart-2026"), HEAD_AFTER, part(BODY)).hexdigest(),
    "mark": MARK.hex(),
    "seal": digest("fedmoe bundle seal v1", part(b"heart-2026"), sample(2), MARK, u64(1),
                   sample(6), u64(1767229200)).hexdigest(),
    "transcript": digest("fedmoe transcript v1", sample(4), u64(3), sample(40),
                         sample(50)).hexdigest(),
}


def join_code(door_key, ca, token, expires, federation, name, door):
    raw = door_key + ca + token + u64(expires)
    raw += b"".join(bytes([len(t)]) + t for t in (federation, name, door))
    raw += digest("fedmoe join code v1", part(raw)).digest()[:4]
    return "fedmoe1" + b32encode(raw).decode().lower().rstrip("=")


TOKEN = bytes((3 * n + 7) % 256 for n in range(16, 32))
ENROLMENT = {
    "join code": join_code(sample(1), sample(0x80), TOKEN, 1800000000, b"heart-study",
                           b"hospital-a", b"tcp://agg.example.org:7300"),
    "seed": hash_of("fedmoe invitation seed v1", TOKEN),
    # Of the invitation below, which is the Ed25519 public key of that seed (RFC 8032).
    "enrolment": digest("fedmoe enrol v1", sample(0x20), sample(1), bytes.fromhex(
        "b9e666e9c74f4d96b3c2b1a7c1cd40e7d4ca3f7cdfea2eb3672b86bc6df2e7c9"), part(b"abcd")).hexdigest(),
}

NOISE_MOST = 2.0**26 * (1 - 2.0**-40)


class Lattice:
    """Section 11 at one width: units' scale 2^f, the wire's 2^e."""

    def __init__(self, clip_norm, z, nodes, quorum, colluders, max_units, fast, bits):
        self.z, self.nodes, self.quorum, self.colluders = z, nodes, quorum, colluders
        self.clip_norm, self.max_units = clip_norm, max_units
        self.fast = fast
        self.f = self.unit_scale(fast)
        self.e = self.f
        while not self.fits(self.e, bits):
            self.e -= 1
        self.bits = bits
        self.delta = self.delta_at(self.e)
        self.sigma = z * self.delta

    def steps(self, f):
        return math.floor(math.ldexp(self.clip_norm, f))

    def delta_at(self, e):
        return math.ldexp(self.steps(self.f), e - self.f)

    def share(self, delta):
        return self.z * delta / math.sqrt(self.quorum - self.colluders)

    def fits(self, e, bits):
        delta = self.delta_at(e)
        return (self.max_units * delta + self.nodes * (12 * self.share(delta) + 0.5)
                < 2**(bits - 1) - 1 and self.share(delta) <= NOISE_MOST)

    def unit_scale(self, fast):
        self.f = top = 31 - math.frexp(self.clip_norm)[1]  # clip_norm 2^f < 2^31
        if not fast:
            while not self.fits(self.f, 32):
                self.f -= 1
            return self.f
        for most in (2.0**11, 2.0**16, 2.0**21, NOISE_MOST):
            f = top
            while self.steps(f) > 2**20 or self.share(self.steps(f)) > most:
                f -= 1
            if self.steps(f) >= 2048 and self.z * self.steps(f) >= 4 * self.max_units:
                break
        return f

    def serves(self):
        honest = self.nodes - self.colluders
        return (self.steps(self.f) >= 64 and self.share(self.delta) >= 10
                and self.z * self.sigma >= 27
                and (self.bits == 32 or self.nodes == self.quorum
                     or self.sigma >= 10 * math.sqrt(honest * (honest - 1))))


PLANS = ((1.0, 1.0, 3, 3, 0, 400), (1.0, 1.0, 3, 3, 0, 10000), (1.0, 1.0, 3, 3, 0, 1 << 20),
         (0.3, 2.5, 5, 5, 4, 50000), (1.0, 1.0, 5, 4, 1, 400), (1.0, 1.0, 5, 4, 1, 600),
         (0.7, 45.0, 4, 3, 1, 2000), (1.0, 20.0, 100, 60, 10, 100000))
LATTICES = [Lattice(*plan, fast, bits) for plan in PLANS for fast in (False, True)
            for bits in (16, 24, 32)]

if __name__ == "__main__":
    for name, value in VECTORS.items():
        print(f"{name:13} {value}")
    for name, value in ENROLMENT.items():
        print(f"{name:13} {value}")
    for m in LATTICES:
        fast = "fast" if m.fast else "exact"
        if m.serves():
            print(f"| {m.clip_norm:g} | {m.z:g} | {m.nodes} | {m.quorum} | {m.colluders} | "
                  f"{m.max_units} | {fast} | {m.bits} | {m.e} | {m.f - m.e} | {m.delta:.12g} | "
                  f"{m.sigma:.12g} |")
