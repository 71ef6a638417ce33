"""What the aggregator makes of a sum: docs/protocol.md, sections 11.3 and 17."""
import math
import struct

import groups
import masks
from plan import steps, tail_length, words
from wire import need


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def floats(data):
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def put_floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def clamp(x, low, high):
    return min(max(x, low), high)


def llround(x):
    return math.floor(x + 0.5)


def is_short(plan, lattice, of, n, survivors, values):
    stays = math.sqrt(sum(s * s for _, s in of[:masks.kept(of, n, survivors)]))
    root, sums = math.sqrt(len(values)), float(survivors) * steps(plan)
    most = (plan["max_units"] * float(steps(plan)) * lattice.delta
            + math.sqrt(sums) * stays * (root + 12) + sums * 0.5 * root)
    return math.sqrt(sum(v * v for v in values)) <= most * (1 + 1e-9)


class Optimizer:
    def __init__(self, plan, lattice, state):
        self.p, self.lattice, self.state = plan, lattice, list(state)
        self.tail = tail_length(plan)
        self.m = [0.0] * len(self.state)
        self.v = [0.0] * len(self.state)
        self.divisor = plan["sampling_rate"] * plan["expected_units"] * float(steps(plan))
        self.held_divisor = plan["held_share"] * self.divisor
        self.divisor -= self.held_divisor
        self.rounds = plan["rounds"] - (plan["start_scale"] > 0)
        self.ordinary = self.averaged = 0
        self.average = [0.0] * len(self.state)

    def rate(self, t):
        p = self.p
        warm = llround(p["warmup"] * self.rounds)
        if t <= warm:
            return p["learning_rate"] * t / warm
        if p["schedule"] == 1:
            return p["learning_rate"]
        x = 1.0 if t > self.rounds else (t - 1 - warm) / (self.rounds - warm)
        left = 1 - x if p["schedule"] == 2 else 0.5 * (1 + math.cos(math.pi * x))
        return p["learning_rate"] * (p["final_rate"] + (1 - p["final_rate"]) * left)

    def step(self, gradient):
        p = self.p
        need(len(gradient) == words(p), "a gradient of another length")
        if p["optimizer"] == 3:
            for i, g in enumerate(gradient, p["frozen"]):
                self.state[i] = f32(self.state[i] + g)
            return
        if p["start_scale"] > 0 and self.state[-1] == 0:
            self._start(gradient)
        else:
            self._ordinary(gradient)
        first = self.rounds - llround(p["averaging"] * self.rounds)
        if p["averaging"] > 0 and self.ordinary > first:
            self.average = [a + s for a, s in zip(self.average, self.state)]
            self.averaged += 1

    def _start(self, total):
        p = self.p
        c = math.sqrt(2) / (p["clip_norm"] * self.divisor)
        times = math.sqrt(groups.nodes(p)) if p["noise"] == 2 else 1.0
        s = c * (p["noise_multiplier"] * p["clip_norm"] * (times * groups.noise(p)) * math.sqrt(steps(p)))
        at, count = p["start_center"], p["start_count"]
        m = [c * x for x in total[at:at + count]]
        square = sum(x * x for x in m)
        keep = max(0.0, 1 - count * s * s / square) if square > 0 else 0.0
        share = clamp(c * total[p["start_bias"]], 0.01, 0.99)
        self.state[at:at + count] = [f32(x * keep) for x in m]
        self.state[p["start_bias"]] = f32(math.log(share / (1 - share)) / p["start_scale"])
        self.state[-1] = 1.0

    def _ordinary(self, gradient):
        p, n = self.p, len(self.state) - self.tail
        self.ordinary += 1
        t = self.ordinary
        rate, ratio = self.rate(t), self._ratio()
        center = range(p["start_center"], p["start_center"] + p["start_count"])
        tail = self._tail(gradient[n:])
        for i in range(n):
            if i in center:
                continue
            g = gradient[i] / self.divisor * ratio
            if p["optimizer"] == 1:
                m = p["momentum"] * self.m[i] + g
                move = m
            else:
                m = p["momentum"] * self.m[i] + (1 - p["momentum"]) * g
                v, part = self.v[i], 1 - p["beta2"]
                if p["optimizer"] == 4:
                    v += part * (g * g) * ((v < g * g) - (v > g * g))
                else:
                    v = p["beta2"] * v + part * g * g
                self.v[i] = f32(v)
                move = (m / (1 - p["momentum"]**t)) / (math.sqrt(v / (1 - p["beta2"]**t))
                                                       + p["adam_epsilon"])
            self.state[i], self.m[i] = f32(self.state[i] - rate * move), f32(m)
        self.state[n:] = tail

    def _clip_at(self):
        return len(self.state) - self.tail + self.p["load_groups"] * self.p["load_experts"]

    def _ratio(self):
        return math.exp(self.state[self._clip_at()]) if self.p["clip_quantile"] > 0 else 1.0

    def _tail(self, total):
        p, n = self.p, len(self.state) - self.tail
        now, out = self.state[n:], self.state[n:]
        per = p["load_experts"]
        for g in range(p["load_groups"]):
            loads = total[g * per:(g + 1) * per]
            mean = sum(loads) / per
            for e in range(per):
                off = clamp((mean - loads[e]) / mean, -1.0, 1.0) if mean > 0 else 0.0
                out[g * per + e] = f32(now[g * per + e] + p["balance_rate"] * off)
        if p["clip_quantile"] > 0:
            at = p["load_groups"] * per
            f = self.lattice.f
            vote = math.ldexp(math.floor(p["clip_share"] * self.lattice.steps(f)), -f)
            below = 0.5 + total[at] / (2 * self.divisor * vote)
            to = now[at] - p["clip_rate"] * (clamp(below, 0, 1) - p["clip_quantile"])
            out[at] = f32(clamp(to, -math.log(1000), math.log(1000)))
        if p["patience"] > 0:
            at = p["load_groups"] * per + (p["clip_quantile"] > 0)
            i = (self.ordinary - 1) % p["patience"]
            vote, bins = self.lattice.vote(p["held_bins"] > 0), p["held_bins"]

            def mean(k, value):
                out[k] = f32(value) if i == 0 else f32(now[k] + (value - now[k]) / (i + 1))

            mean(at, 0.5 + total[at] / (2 * self.held_divisor * vote))
            if i == 0:
                out[at + 1] = now[at]
            parts = self.lattice.tree(bins) if bins else []
            for j in range(2 * bins):
                mean(at + 2 + j, total[at + 2 + j] / parts[(j % bins).bit_length()])
        return out

    def done(self):
        at = len(self.state) - 2 - 2 * self.p["held_bins"] - (self.p["start_scale"] > 0)
        window = self.p["patience"]
        return (window > 0 and self.ordinary >= 2 * window and self.ordinary % window == 0
                and self.state[at] >= self.state[at + 1])

    def result(self):
        return [f32(a / self.averaged) for a in self.average] if self.averaged else self.state
