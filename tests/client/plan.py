"""The plan and its lattice: docs/protocol.md, section 11."""
import math

import groups
import wire
from identity import is_name
from wire import Refused, need

_NAMES = """1 version 2 federation 3 purpose 4 privacy_unit 5 epsilon 6 delta 7 clip_norm 8 sampling_rate
9 noise_multiplier 10 rounds 11 max_units 12 expected_units 13 min_cohort 14 quorum 15 colluders
16 max_nodes 17 parameters 18 model_text 19 schema_text 20 initial_model 21 optimizer 22 learning_rate
23 momentum 24 beta2 25 averaging 26 adam_epsilon 27 run 28 task 29 noise 30 max_unit_rows 31 frozen
32 query_text 33 encoding 34 schedule 35 warmup 36 final_rate 37 load_groups 38 load_experts
39 load_share 40 balance_rate 41 clip_quantile 42 clip_rate 43 clip_share 44 start_center
45 start_count 46 start_bias 47 start_scale 48 model_clip_norm 49 word_bits 50 mask_density
51 held_share 52 held_bound 53 patience 61 robust_groups 62 robust_quorum 63 robust_mean 64 robust_trim
70 local_steps 71 local_rate 72 proximal 73 correction
74 held_bins""".split()
_TEXT = {2, 3, 4, 18, 19, 32}
_BYTES = {20, 27}
_WHOLE = {1, 10, 11, *range(13, 18), 21, *range(28, 32), 33, 34, 37, 38, *range(44, 47), 49, 50, 53, *range(61, 65), 70, 73, 74}


def _kind(n):
    return "text" if n in _TEXT else "bytes" if n in _BYTES else "u32" if n in _WHOLE else "f64"


wire.SCHEMA["Plan"] = [(int(n), name, _kind(int(n))) for n, name in zip(_NAMES[::2], _NAMES[1::2])]

TRAINING, STATISTICS, EVALUATION = 1, 2, 3
LOCAL = 2
FAST = 2
ALL, DENSE_NODES = 256, 32


def tail_length(p):
    return (p["load_groups"] * p["load_experts"] + (p["clip_quantile"] > 0)
            + 2 * (p["patience"] > 0) + 2 * p["held_bins"] + (p["start_scale"] > 0))


def steps(p):
    """Noised sums of a round."""
    return max(p["local_steps"], 1)


def words(p):
    return p["parameters"] - p["frozen"]


def update_bytes(p):
    return words(p) * p["word_bits"] // 8


def _ranges(p):
    """(what, whether it is in its range)"""
    def real(name, low, high, open_low=False, open_high=False):
        v = p[name]
        return name, (math.isfinite(v) and (v > low if open_low else v >= low)
                      and (v < high if open_high else v <= high))

    def whole(name, low, high):
        return name, low <= p[name] <= high

    def text(name, high, lines=False):
        return name, 1 <= len(p[name].encode()) <= high and wire.is_text(p[name], lines)

    training, evaluation = p["task"] == TRAINING, p["task"] == EVALUATION
    loads, votes, start = p["load_groups"] > 0, p["clip_quantile"] > 0, p["start_scale"] > 0
    weights = p["parameters"] - tail_length(p)
    end = p["start_center"] + p["start_count"]
    yield "version", p["version"] == wire.VERSION
    yield "federation", is_name(p["federation"])
    yield text("purpose", 255)
    yield text("privacy_unit", 63)
    yield real("epsilon", 0, 1000, True)
    yield real("delta", 0, 1, True, True)
    yield real("clip_norm", 1e-6, 1e6)
    yield real("sampling_rate", 0, 1, True)
    yield real("noise_multiplier", 0, 1e6)
    yield "no privacy", p["noise_multiplier"] > 0 or p["epsilon"] == 1000
    yield whole("rounds", 1, 1000000)
    yield whole("max_units", 1, 1 << 24)
    yield real("expected_units", 1, 1 << 24)
    yield whole("max_nodes", 2, 1024)
    yield whole("min_cohort", 2, p["max_nodes"])
    yield "quorum", 2 * p["quorum"] > p["max_nodes"] + p["colluders"]
    yield "quorum", p["colluders"] < p["quorum"] <= p["max_nodes"]
    yield whole("parameters", 1, 1 << 30)
    yield text("schema_text", 1 << 19, True)
    yield ("model_text", p["model_text"] == "") if p["task"] == STATISTICS \
        else text("model_text", 1 << 19, True)
    yield ("query_text", p["query_text"] == "") if training else text("query_text", 1 << 16, True)
    yield "initial_model", len(p["initial_model"]) == 32
    yield "run", len(p["run"]) == 16
    yield whole("task", 1, 3)
    yield "optimizer", p["optimizer"] in ((1, 2, 4) if training else (3,))
    yield real("learning_rate", 0, 1e6, True)
    for name in ("momentum", "beta2", "averaging", "warmup", "clip_quantile"):
        yield real(name, 0, 1, open_high=True)
    yield real("adam_epsilon", 0, 1, True)
    yield whole("noise", 1, 2)
    yield whole("max_unit_rows", 1, 1 if p["privacy_unit"] == "record" else 4096)
    yield whole("frozen", *((1, p["parameters"] - 1) if evaluation else (0, 0)))
    yield whole("encoding", 1, 2 if training else 1)
    yield whole("schedule", 1, 3)
    yield real("final_rate", 0, 1)
    yield "load_groups", p["load_groups"] <= 16 and (training or not loads)
    yield whole("load_experts", *((2, 256) if loads else (0, 0)))
    yield real("load_share", 0, 0.5 if loads else 0, open_low=loads)
    yield real("balance_rate", 0, 1 if loads else 0)
    yield "clip_quantile", training or not votes
    yield real("clip_rate", 0, 2 if votes else 0)
    yield real("clip_share", 0, 0.5 if votes else 0, open_low=votes)
    held = p["patience"] > 0
    yield whole("patience", 0, 100000 if training else 0)
    yield real("held_share", 0, 0.5 if held else 0, open_low=held)
    yield real("held_bound", *((1e-3, 1e6) if held else (0, 0)))
    yield "held_bins", p["held_bins"] == 0 or (held and p["held_bins"] in (4, 8, 16, 32, 64))
    yield "the tail", tail_length(p) < p["parameters"]
    yield "start_count", p["start_count"] == 0 or (training and end <= weights)
    yield "start_center", p["start_count"] > 0 or p["start_center"] == 0
    yield "start_bias", (p["start_bias"] < weights and not p["start_center"] <= p["start_bias"] < end
                         if start else p["start_bias"] == 0)
    yield "start_scale", not start or (1e-6 <= p["start_scale"] <= 1000 and p["start_count"] > 0
                                       and p["rounds"] >= 2)
    yield real("model_clip_norm", 0, 1e6 if evaluation else 0)
    yield "word_bits", p["word_bits"] in (16, 24, 32)
    yield whole("mask_density", 1 if p["max_nodes"] > DENSE_NODES else ALL, ALL)
    local, corrected = p["local_steps"] > 0, p["correction"] == 1
    yield whole("local_steps", *((2, 64) if training and p["noise"] == LOCAL and local else (0, 0)))
    yield real("local_rate", 0, 1e6 if local else 0, open_low=local)
    yield real("proximal", 0, 1e6 if local else 0)
    yield "proximal", p["local_rate"] * p["proximal"] <= 1
    yield whole("correction", 0, 1 if local else 0)
    yield "correction", not corrected or (
        p["optimizer"] == 1 and p["schedule"] == 1
        and p["momentum"] == p["warmup"] == p["clip_quantile"] == 0)
    yield "robust_groups", not local or p["robust_groups"] == p["patience"] == 0
    if not any(p[f"robust_{name}"] for name in ("groups", "quorum", "mean", "trim")):
        return
    n = p["robust_groups"]
    yield "robust_groups", 3 <= n <= 64 and training and p["mask_density"] == ALL
    yield "robust_quorum", (p["robust_quorum"] >= p["colluders"] + 2
                            and 2 * p["robust_quorum"] > groups.nodes(p))
    yield "min_cohort", n * p["robust_quorum"] <= p["min_cohort"]
    yield whole("robust_mean", 1, 3)
    yield whole("robust_trim", *((1, (n - 1) // 2) if p["robust_mean"] == groups.TRIMMED else (0, 0)))


def check(p):
    for what, ok in _ranges(p):
        need(ok, f"plan: {what} is out of its range")


def encode(p):
    check(p)
    data = wire.pack("Plan", p)
    need(len(data) <= 1 << 20, "plan: too long")
    return data


def decode(data):
    need(1 <= len(data) <= 1 << 20, "plan: of a wrong length")
    p = wire.unpack("Plan", data)
    need(wire.pack("Plan", p) == data, "plan: not in its one encoding")
    check(p)
    return p


# ---- the lattice ----

class Lattice:
    """Section 11.1. `p` has the plan's fields that are named here."""

    MOST = 2.0**26 * (1 - 2.0**-40)

    def __init__(self, p):
        self.clip_norm, self.z, self.nodes = p["clip_norm"], p["noise_multiplier"], groups.nodes(p)
        self.max_units, self.bits, self.times = p["max_units"], p["word_bits"], steps(p)
        local, quorum, colluders = p["noise"] == LOCAL, groups.quorum(p), p["colluders"]
        self.h = 1 if local else quorum - colluders
        top = 31 - math.frexp(self.clip_norm)[1]  # C 2^f < 2^31
        self.f = f = self._fast(top) if p["encoding"] == FAST else self._exact(top)
        need(self.steps(f) >= 64, "plan: a unit has less than 64 steps")
        self.e = next((e for e in range(f, f - 31, -1) if self._fits(f, e, self.bits)), None)
        need(self.e is not None, "plan: words are too short")
        self.finer, self.delta = f - self.e, self._delta(f, self.e)
        self.sigma, self.share = self.z * self.delta, self._share(f, self.e)
        if self.z == 0:
            need(self.bits == 32 and self.delta >= 64, "plan: without noise, and words too short")
            return
        need(self.share >= 10, "plan: a node's noise is below 10 steps")
        need(self.z * self.sigma >= 27, "plan: noise too narrow for the lattice")
        n = self.nodes - colluders
        need(self.bits == 32 or local or quorum == self.nodes
             or self.sigma >= 12 * math.sqrt(float(n)), "plan: words are too short")

    def steps(self, f):
        return math.floor(math.ldexp(self.clip_norm, f))

    def vote(self, halved):
        """Of a unit held out, in gradient units; halved: its scores have the other half of the square."""
        return math.ldexp(self._half() if halved else self.steps(self.f), -self.f)

    def _half(self):
        return math.isqrt(self.steps(self.f) ** 2 // 2)

    def tree(self, bins):
        """What a unit held out adds to a tree's total, and to a word of each level; in gradient units."""
        half, shares, total = self._half(), [1.0], 1.0
        for level in range(bins.bit_length() - 1):
            shares.append(math.sqrt(2.0 ** -level))
            total += shares[-1]
        parts = [math.floor(half * math.sqrt(s / total)) for s in shares]
        while sum(a * a for a in parts) > half * half:
            parts[0] -= 1
        return [math.ldexp(a, -self.f) for a in parts]

    def _delta(self, f, e):
        return math.ldexp(self.steps(f), e - f)

    def _share(self, f, e):
        return self.z * self._delta(f, e) / math.sqrt(self.h)

    def _fits(self, f, e, bits):
        share = self._share(f, e)
        sums = float(self.nodes) * self.times
        noise = 14 * share * math.sqrt(sums) + 0.5 * sums
        return (self.max_units * float(self.times) * self._delta(f, e) + noise < 2.0**(bits - 1) - 1
                and share <= self.MOST)

    def _exact(self, f):
        while self.steps(f) >= 64 and not self._fits(f, f, 32):
            f -= 1
        return f

    def _fast(self, top):
        for bound in (2.0**11, 2.0**16, 2.0**21, self.MOST):
            f = top
            while self.steps(f) >= 64 and (self.steps(f) > 2**20 or self._share(f, f) > bound):
                f -= 1
            if self.steps(f) >= 2048 and self.z * self._delta(f, f) >= 4 * self.max_units:
                break
        return f


# ---- the graph of masks: section 11.5 ----

MOST_RELEASES = 1 << 14  # of a plan in which some pairs share no mask


def held(nodes, quorum):
    """So many colluders get one sum only."""
    return max(0, 2 * quorum - nodes - 1)


def honest(nodes, quorum, colluders):
    """Survivors that are no part of the coalition that is reckoned with."""
    return quorum - max(colluders, held(nodes, quorum), quorum // 3)


def log2_apart(nodes, least, density):
    """Of how likely some number of honest survivors, from `least` on, are not connected."""
    if density == ALL:
        return -math.inf
    q, worst = math.log((ALL - density) / ALL), -math.inf
    for n in range(max(least, 2), nodes + 1):
        terms = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * (n - i) * q
                 for i in range(1, n // 2 + 1)]
        top = max(terms)
        worst = max(worst, top + math.log(math.fsum(math.exp(t - top) for t in terms)))
    return worst / math.log(2)


def masks_computed(others, density):
    """Section 9.1."""
    p = density / ALL
    return min(others, math.ceil(others * p + 3 * math.sqrt(others * p * (1 - p))))


def few_enough(density, rounds):
    """Rounds of a plan, or releases of it."""
    return density == ALL or rounds <= MOST_RELEASES


def allowed(delta):
    """log2 of what may fall apart in a round, less a bit for what time tells."""
    return min(-54.0, math.log2(delta / 100 / MOST_RELEASES)) - 1


def choose(nodes, quorum, colluders, delta):
    for density in range(1, ALL):  # linear, and slow
        if dense_enough(nodes, quorum, colluders, density, allowed(delta) - 1):
            return density if masks_computed(nodes - 1, density) < nodes - 1 else ALL
    return ALL


def dense_enough(nodes, quorum, colluders, density, limit):
    least = honest(nodes, quorum, colluders)
    return density == ALL or (nodes > DENSE_NODES and least > 1
                              and log2_apart(nodes, least, density) <= limit)


def approve(data, federation):
    """Decoded, with a lattice; raises Refused."""
    p = decode(data)
    need(dense_enough(p["max_nodes"], p["quorum"], p["colluders"], p["mask_density"],
                      allowed(p["delta"])), "plan: too few pairs share a mask")
    need(few_enough(p["mask_density"], p["rounds"]),
         "plan: too many rounds for masks of some pairs")
    if p["federation"] != federation:
        raise Refused(f"the plan is of the federation '{p['federation']}'")
    return p, Lattice(p)
