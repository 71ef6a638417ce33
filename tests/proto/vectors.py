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

# Behind the members: place, number, each of the intermediate CAs.
ROSTER_PATH = ROSTER + u64(1) + u64(2) + part(b"\x30" * 20) + part(b"\x31" * 20)

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
    "roster_path": digest("fedmoe roster v1", ROSTER_PATH).hexdigest(),
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


def lattice(clip_norm, z, max_nodes, honest, max_units, fast):
    """(e, f - e, delta, sigma); f is e where the encoding is exact."""
    def delta(e):
        return math.floor(math.ldexp(clip_norm, e))

    def share(e):
        return z * delta(e) / math.sqrt(honest)

    def fits(e):
        return (max_units * delta(e) + max_nodes * 12 * share(e) < 2**31 - 1
                and share(e) <= NOISE_MOST)

    f = 31 - math.frexp(clip_norm)[1]  # clip_norm 2^f < 2^31
    if fast:
        top = f
        for most in (2.0**11, 2.0**16, 2.0**21, NOISE_MOST):
            f = top
            while delta(f) > 2**20 or share(f) > most:
                f -= 1
            if delta(f) >= 2048 and z * delta(f) >= 4 * max_units:
                break
    e = f
    while not fits(e):
        e -= 1
    return e, f - e if fast else 0, delta(e), z * delta(e)


LATTICES = [(c, z, n, h, u, fast) for c, z, n, h, u in
            ((1.0, 1.0, 3, 3, 400), (1.0, 1.0, 3, 3, 10000), (1.0, 1.0, 3, 3, 1 << 20),
             (0.3, 2.5, 5, 1, 50000)) for fast in (False, True)]

if __name__ == "__main__":
    for name, value in VECTORS.items():
        print(f"{name:13} {value}")
    for name, value in ENROLMENT.items():
        print(f"{name:13} {value}")
    for spec in LATTICES:
        e, shift, delta, sigma = lattice(*spec)
        print(f"| {spec[0]:g} | {spec[1]:g} | {spec[2]} | {spec[3]} | {spec[4]} | "
              f"{'fast' if spec[5] else 'exact'} | {e} | {shift} | {delta} | {sigma:.10g} |")
