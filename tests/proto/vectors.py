#!/usr/bin/env python3
"""The known values of test_digest.c, computed from docs/protocol.md alone ("Digests")."""
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
    "transcript": digest("fedmoe transcript v1", sample(4), u64(3), sample(40),
                         sample(50)).hexdigest(),
}

if __name__ == "__main__":
    for name, value in VECTORS.items():
        print(f"{name:13} {value}")
