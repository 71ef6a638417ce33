"""Masks and noise: docs/protocol.md, sections 9 and 14."""
import math

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from digests import H, part, u64
from wire import Refused, need

def hkdf(key, info):
    return HKDF(hashes.SHA256(), 32, None, info).derive(key)


def check_public(key):
    need(key[31] < 128 and int.from_bytes(key, "little") < 2**255 - 19, "an X25519 key, not reduced")


def agree(secret, public):
    check_public(public)
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(
            X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refused("an X25519 key of low order") from None


def pair_secret(shared, federation, session, roster, u, v, key_u, key_v):
    if u > v:
        u, v, key_u, key_v = v, u, key_v, key_u
    c = H("fedmoe pair v1", part(federation.encode()), session, roster, u64(u, v), key_u, key_v)
    return hkdf(shared, b"fedmoe pair v1" + c)


def round_context(rnd, plan, model, participants):
    return H("fedmoe round v1", u64(rnd), plan, model, u64(len(participants), *participants))


def mask_key(secret, context):
    return hkdf(secret, b"fedmoe mask v1" + context)


class Stream:
    """An AES-256-CTR key stream."""

    def __init__(self, seed):
        self.aes = Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor()

    def take(self, n):
        return self.aes.update(bytes(n))


def words_of(data, bits):
    """Of an update: section 9.2."""
    n = bits // 8
    return [int.from_bytes(data[i:i + n], "little") for i in range(0, len(data), n)]


def bytes_of(words, bits):
    mask = (1 << bits) - 1
    return b"".join((w & mask).to_bytes(bits // 8, "little") for w in words)


def prg(seed, n, bits):
    """n words of a mask."""
    wide = 2 if bits == 16 else 4
    data, mask = Stream(seed).take(wide * n), (1 << bits) - 1
    return [int.from_bytes(data[i:i + wide], "little") & mask for i in range(0, wide * n, wide)]


def add(words, seed, sign, bits):
    """words + sign PRG(seed), mod 2^bits."""
    mask = (1 << bits) - 1
    return [(w + sign * m) & mask for w, m in zip(words, prg(seed, len(words), bits))]


def edge(key, density):
    """Whether a pair of this k_uv shares a mask: section 9.1."""
    return int.from_bytes(H("fedmoe edge v1", key)[:4], "little") < density << 24


def signed(word, bits):
    return word - (1 << bits) if word >> (bits - 1) else word


def sign_of(u, v):
    """With which u adds k_uv."""
    return 1 if u < v else -1


# ---- levels of noise ----

def levels(sigma, n, quorum, colluders, local):
    """[(losses, sigma)]"""
    def s(a, b):
        part_ = 1.0 / b if a is None else (a - b) / (float(a) * b)
        return sigma * math.sqrt(part_) * (1 + 2.0**-50)

    last = n - quorum
    if sigma == 0:
        return []
    if local:
        return [(last, s(None, 1))]
    out, a, e, before = [], None, 0, None
    while True:
        least = 10 if a is None else 2.5
        found = next((x for x in range(e, last + 1) if s(a, n - x - colluders) >= least), None)
        if found is None:
            out[-1] = (last, s(before, n - last - colluders))
            return out
        out.append((found, s(a, n - found - colluders)))
        if found == last:
            return out
        before, a = a, n - found - colluders
        e = min(found + -(-a // 24), last)


def kept(of, n, survivors):
    """How many levels stay; the others are surplus."""
    for i, (losses, _) in enumerate(of):
        if losses >= n - survivors:
            return i + 1
    return len(of)


# ---- the sampler ----

class Gaussian:
    """Integers from seeds, for one sigma: section 14."""

    def __init__(self, sigma):
        self.k, y = self._plan(sigma)
        self.m = len(self.k) + 1
        self._tables(y)

    @staticmethod
    def _plan(sigma):
        for m in range(1, 64):
            for k in range(1, 36):
                for more in range(max(0, m - 2) + 1):
                    ks = [k + 1] * more + [k] * (m - 1 - more)
                    total, product = 1, 1
                    for x in ks:
                        product *= x
                        total += product * product
                    base = sigma / math.sqrt(float(total))
                    if base <= 62:
                        break
                else:
                    continue
                break
            else:
                continue
            largest = max(ks, default=0)
            if base >= 1.7501 * math.sqrt(float(largest * largest + 1)):
                return ks, float(total) / (2 * (sigma * sigma)) * (1 - 2.0**-48)
        raise ValueError("no plan of this sigma")

    def _tables(self, y):
        one = 1 << 127

        def mul(a, b):
            return a * b >> 127

        numerator, denominator = y.as_integer_ratio()
        fixed = (numerator << 127) // denominator
        e = one
        for i in range(20, 0, -1):
            e = one - mul(fixed, e) // i
        weights, w, step, ratio = [], one, e, mul(e, e)
        while w >> 8:
            weights.append(w >> 8)
            w, step = mul(w, step), mul(step, ratio)
        z = weights[0] + 2 * sum(weights[1:])
        tails = [1 << 93]
        for j in range(len(weights)):
            tails.append((2 * sum(weights[j + 1:]) << 93) // z)
        p = [a - b for a, b in zip(tails, tails[1:])]
        p += [0] * (256 - len(p))
        a = [x >> 70 for x in p[:255]]
        escape = (1 << 23) - sum(a)
        rest = [x - ((a[i] if i < 255 else 0) << 70) for i, x in enumerate(p)]
        self.u = []
        for j in range(len(rest)):
            u = min((1 << 93) - 1, (sum(rest[j + 1:]) << 23) // escape)
            self.u.append(u)
            if u == 0:
                break
        self._alias(a + [escape])

    def _alias(self, a):
        self.t, self.o, is_open = [0] * 256, list(range(256)), [True] * 256
        while True:
            low = next((i for i in range(256) if is_open[i] and a[i] < 1 << 15), None)
            high = next((i for i in range(256) if is_open[i] and a[i] > 1 << 15), None)
            if low is None or high is None:
                return
            self.t[low], self.o[low], is_open[low] = a[low], high, False
            a[high] -= (1 << 15) - a[low]

    def _block(self, stream, groups):
        head = stream.take(768)
        residual = []
        for i in range(64):
            at = 192 * (i // 16) + 4 * (i % 16)
            w = [int.from_bytes(head[at + d:at + d + 4], "little") & 0x7fffffff for d in (0, 64, 128)]
            r = (w[0] << 62) + (w[1] << 31) + w[2]
            residual.append(sum(u > r for u in self.u))
        out, escapes = [], 0
        for _ in range(groups):
            stages = []
            for _ in range(self.m):
                data = stream.take(192)
                x = [0] * 64
                for b in range(64):
                    c = data[b]
                    f = 256 * (data[64 + b] % 128) + data[128 + b]
                    magnitude = c if f < self.t[c] else self.o[c]
                    if magnitude == 255:
                        magnitude = residual[escapes % 64]
                        escapes += 1
                    lane, q, r = b // 16, b // 4 % 4, b % 4
                    x[16 * q + 4 * lane + r] = -magnitude if data[64 + b] >= 128 else magnitude
                stages.append(x)
            for i in range(64):
                v = stages[-1][i]
                for k, x in zip(reversed(self.k), reversed(stages[:-1])):
                    v = x[i] + k * v
                out.append(v)
        return out

    def expand(self, seed, n):
        stream, out = Stream(seed), []
        while len(out) < n:
            groups = 2048 // self.m
            out += self._block(stream, min(groups, -(-(n - len(out)) // 64)))
        return out[:n]
