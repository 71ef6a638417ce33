"""The peers of tests/bench/dpsgd, in PyTorch, on one thread.

usage: dpsgd_peer.py [--seconds S]   measure all, print one JSON object
       dpsgd_peer.py --serve         a line "MODEL STEP SECONDS" in, a line of JSON out, until EOF
       dpsgd_peer.py --check         the formulations against autograd and against each other

MODEL mlp: 784-256-256-10, ReLU, softmax cross-entropy. moe: 64 features, width 128, one block of 8
experts (--experts N for others) of 256 and a residual, the two best of each record with softmax
gates, one logit. Batch 256, drawn by row numbers from 16384 records.
STEP plain: a step of SGD without privacy. private: norms of each record's gradient from activations
and output gradients, one weighted product per layer and expert, Gaussian noise on every parameter, a
step of SGD. Each is written in several ways, and the fastest counts; the first of each is as most
would write it. "out" in a name: results in buffers that are there already.
"""
import argparse
import json
import os
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries are loaded
os.environ["OPENBLAS_NUM_THREADS"] = "1"

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("PyTorch is not installed: python3-torch")

BATCH = 256
RECORDS = 16384
RATE = 0.05
CLIP = 1.0
NOISE = 1.0


class Flat:
    """Parameters, and sums of gradients, as views of one vector each."""

    def __init__(self, shapes, fan):
        self.weights = torch.zeros(sum(torch.Size(s).numel() for s in shapes))
        self.sums = torch.zeros_like(self.weights)
        self.p = self.split(self.weights, shapes)
        self.g = self.split(self.sums, shapes)
        for p, n in zip(self.p, fan):
            if n:
                p.normal_(0.0, n**-0.5)

    @staticmethod
    def split(flat, shapes):
        views, at = [], 0
        for s in shapes:
            n = torch.Size(s).numel()
            views.append(flat[at : at + n].view(s))
            at += n
        return views


def noise_step(flat):
    """flat.sums = noise, for products that are added to it."""
    flat.sums.normal_(0.0, NOISE * CLIP)


def descend(flat):
    flat.weights.add_(flat.sums, alpha=-RATE / BATCH)


def square_rows(a):
    return torch.linalg.vector_norm(a, dim=1).square_()


def clip_factors(squares):
    return torch.clamp(CLIP * squares.rsqrt(), max=1.0)


class Mlp:
    SIZES = (784, 256, 256, 10)

    def __init__(self, _experts):
        shapes, fan = [], []
        for n, m in zip(self.SIZES, self.SIZES[1:]):
            shapes += [(m, n), (m,)]
            fan += [n, 0]
        self.flat = Flat(shapes, fan)
        self.x = torch.randn(RECORDS, self.SIZES[0])
        self.y = torch.randint(0, self.SIZES[-1], (RECORDS, 1))
        self.a = [torch.empty(BATCH, n) for n in self.SIZES]
        self.d = [torch.empty(BATCH, n) for n in self.SIZES]
        self.minus = -torch.ones(BATCH, 1)
        self.steps = {
            "plain": {
                "autograd": self.plain_autograd,
                "operators": self.plain_operators,
                "operators, out": self.plain_out,
                "update in the product": self.plain_fused,
            },
            "private": {
                "operators": self.private_operators,
                "out, sum then noise": self.private_out,
                "out, sum onto noise": self.private_onto_noise,
            },
        }

    def loss(self, p, index):
        """As a user writes it; for autograd."""
        h = torch.relu(F.linear(self.x.index_select(0, index), p[0], p[1]))
        h = torch.relu(F.linear(h, p[2], p[3]))
        y = self.y.index_select(0, index).view(-1)
        return F.cross_entropy(F.linear(h, p[4], p[5]), y, reduction="none")

    def plain_autograd(self, index):
        with torch.enable_grad():
            p = [v.detach().requires_grad_() for v in self.flat.p]
            self.loss(p, index).sum().backward()
        torch._foreach_add_(self.flat.p, [v.grad for v in p], alpha=-RATE / BATCH)

    def gradients(self, index):
        """Activations and output gradients of all layers, new tensors."""
        p = self.flat.p
        a = [self.x.index_select(0, index)]
        a.append(torch.addmm(p[1], a[0], p[0].t()).relu_())
        a.append(torch.addmm(p[3], a[1], p[2].t()).relu_())
        g3 = torch.softmax(torch.addmm(p[5], a[2], p[4].t()), 1)
        g3.scatter_add_(1, self.y.index_select(0, index), self.minus)
        g2 = torch.ops.aten.threshold_backward(g3 @ p[4], a[2], 0)
        g1 = torch.ops.aten.threshold_backward(g2 @ p[2], a[1], 0)
        return a, [g1, g2, g3]

    def gradients_out(self, index):
        """The same into buffers."""
        p, a, d = self.flat.p, self.a, self.d
        torch.index_select(self.x, 0, index, out=a[0])
        torch.addmm(p[1], a[0], p[0].t(), out=a[1]).relu_()
        torch.addmm(p[3], a[1], p[2].t(), out=a[2]).relu_()
        torch.addmm(p[5], a[2], p[4].t(), out=a[3])
        torch.softmax(a[3], 1, out=d[3])
        d[3].scatter_add_(1, self.y.index_select(0, index), self.minus)
        for k in (2, 1):
            torch.mm(d[k + 1], p[2 * k], out=d[k])
            torch.ops.aten.threshold_backward.grad_input(d[k], a[k], 0, grad_input=d[k])
        return a, d[1:]

    def plain_operators(self, index):
        a, g = self.gradients(index)
        for k in range(3):
            self.flat.p[2 * k].add_(g[k].t() @ a[k], alpha=-RATE / BATCH)
            self.flat.p[2 * k + 1].add_(g[k].sum(0), alpha=-RATE / BATCH)

    def plain_out(self, index):
        a, g = self.gradients_out(index)
        for k in range(3):
            torch.mm(g[k].t(), a[k], out=self.flat.g[2 * k])
            torch.sum(g[k], 0, out=self.flat.g[2 * k + 1])
        descend(self.flat)

    def plain_fused(self, index):
        a, g = self.gradients_out(index)
        for k in range(3):
            self.flat.p[2 * k].addmm_(g[k].t(), a[k], alpha=-RATE / BATCH)
            self.flat.p[2 * k + 1].add_(g[k].sum(0), alpha=-RATE / BATCH)

    @staticmethod
    def square_norms(a, g):
        squares = 0.0
        for k in range(3):
            squares = squares + (square_rows(a[k]) + 1.0) * square_rows(g[k])
        return squares

    def private_operators(self, index):
        a, g = self.gradients(index)
        f = clip_factors(self.square_norms(a, g)).unsqueeze(1)
        for k in range(3):
            w = g[k] * f
            for p, s in ((self.flat.p[2 * k], w.t() @ a[k]), (self.flat.p[2 * k + 1], w.sum(0))):
                p.add_(s + NOISE * CLIP * torch.randn_like(s), alpha=-RATE / BATCH)

    def weigh(self, index):
        a, g = self.gradients_out(index)
        f = clip_factors(self.square_norms(a, g)).unsqueeze(1)
        for v in g:
            v.mul_(f)
        return a, g

    def private_out(self, index):
        a, g = self.weigh(index)
        for k in range(3):
            torch.mm(g[k].t(), a[k], out=self.flat.g[2 * k])
            torch.sum(g[k], 0, out=self.flat.g[2 * k + 1])
        descend(self.flat)
        noise_step(self.flat)
        descend(self.flat)

    def private_onto_noise(self, index):
        a, g = self.weigh(index)
        noise_step(self.flat)
        for k in range(3):
            self.flat.g[2 * k].addmm_(g[k].t(), a[k])
            self.flat.g[2 * k + 1].add_(g[k].sum(0))
        descend(self.flat)


class Moe:
    FEATURES, WIDTH, HIDDEN, TOP = 64, 128, 256, 2
    EMBED, ROUTER, ROUTER_BIAS, HEAD, HEAD_BIAS, EXPERTS = 0, 1, 2, 3, 4, 5

    def __init__(self, experts):
        self.count = experts
        f, d, h = self.FEATURES, self.WIDTH, self.HIDDEN
        shapes = [(d, f), (experts, d), (experts,), (1, d), (1,)]
        shapes += [(h, d), (h,), (d, h), (d,)] * experts
        self.flat = Flat(shapes, [f, d, 0, d, 0] + [d, 0, h, 0] * experts)
        self.x = torch.randn(RECORDS, f)
        self.y = torch.randint(0, 2, (RECORDS, 1)).float()
        slots = BATCH * self.TOP
        self.rows = {n: torch.empty(slots, n) for n in (d, h)}
        self.hidden, self.hidden_gradient = torch.empty(slots, h), torch.empty(slots, h)
        self.result, self.back = torch.empty(slots, d), torch.empty(slots, d)
        self.steps = {
            "plain": {
                "autograd, index_add for each expert": self.plain_index_add,
                "autograd, rows sorted by expert": self.plain_autograd,
                "operators, rows sorted": self.plain_out,
                "update in the product": self.plain_fused,
            },
            "private": {
                "sum then noise": self.private_out,
                "sum onto noise": self.private_onto_noise,
            },
        }

    def expert(self, p, e):
        return p[self.EXPERTS + 4 * e : self.EXPERTS + 4 * e + 4]

    def route(self, scores):
        """Row numbers sorted by expert: gates [B, 2] (by score), order, where each expert starts."""
        top, chosen = scores.topk(self.TOP, dim=1)
        flat = chosen.view(-1)
        order = flat.argsort()
        ends = flat.bincount(minlength=self.count).cumsum(0).tolist()
        return torch.softmax(top, 1), chosen, order, [0] + ends

    def loss(self, p, index):
        """Rows sorted by expert; for autograd."""
        x = F.linear(self.x.index_select(0, index), p[self.EMBED])
        gates, _, order, starts = self.route(F.linear(x, p[self.ROUTER], p[self.ROUTER_BIAS]))
        rows = order // self.TOP
        sorted_x = x.index_select(0, rows)
        results = []
        for e in range(self.count):
            if starts[e] < starts[e + 1]:
                w1, b1, w2, b2 = self.expert(p, e)
                h = torch.relu(F.linear(sorted_x[starts[e] : starts[e + 1]], w1, b1))
                results.append(F.linear(h, w2, b2))
        weighted = torch.cat(results) * gates.view(-1).index_select(0, order).unsqueeze(1)
        x = x.index_add(0, rows, weighted)
        logits = F.linear(x, p[self.HEAD], p[self.HEAD_BIAS])
        y = self.y.index_select(0, index)
        return F.binary_cross_entropy_with_logits(logits, y, reduction="none")

    def loss_index_add(self, p, index):
        """Each expert picks its rows; as most write it."""
        x = F.linear(self.x.index_select(0, index), p[self.EMBED])
        scores = F.linear(x, p[self.ROUTER], p[self.ROUTER_BIAS])
        top, chosen = scores.topk(self.TOP, dim=1)
        gates = torch.softmax(top, 1)
        y = x
        for e in range(self.count):
            rows, slots = torch.where(chosen == e)
            if len(rows):
                w1, b1, w2, b2 = self.expert(p, e)
                o = F.linear(torch.relu(F.linear(x.index_select(0, rows), w1, b1)), w2, b2)
                y = y.index_add(0, rows, o * gates[rows, slots].unsqueeze(1))
        logits = F.linear(y, p[self.HEAD], p[self.HEAD_BIAS])
        labels = self.y.index_select(0, index)
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")

    def autograd_step(self, loss, index):
        with torch.enable_grad():
            p = [v.detach().requires_grad_() for v in self.flat.p]
            loss(p, index).sum().backward()
        used = [(v, q.grad) for v, q in zip(self.flat.p, p) if q.grad is not None]
        torch._foreach_add_([v for v, _ in used], [g for _, g in used], alpha=-RATE / BATCH)

    def plain_autograd(self, index):
        self.autograd_step(self.loss, index)

    def plain_index_add(self, index):
        self.autograd_step(self.loss_index_add, index)

    def gradients(self, index):
        """Forward and backward. Maps with one row a record as (parameter, bias or None, a, g), and
        what the experts keep: starts, order, sorted rows, hidden, its gradient, the result's."""
        p = self.flat.p
        phi = self.x.index_select(0, index)
        x = phi @ p[self.EMBED].t()
        scores = torch.addmm(p[self.ROUTER_BIAS], x, p[self.ROUTER].t())
        gates, chosen, order, starts = self.route(scores)
        rows = torch.div(order, self.TOP, rounding_mode="trunc")
        xs = torch.index_select(x, 0, rows, out=self.rows[self.WIDTH])
        used = [e for e in range(self.count) if starts[e] < starts[e + 1]]
        for e in used:
            s, t = starts[e], starts[e + 1]
            w1, b1, w2, b2 = self.expert(p, e)
            torch.addmm(b1, xs[s:t], w1.t(), out=self.hidden[s:t])
            self.hidden[s:t].relu_()
            torch.addmm(b2, self.hidden[s:t], w2.t(), out=self.result[s:t])
        weights = gates.view(-1).index_select(0, order).unsqueeze(1)
        y = x.index_add(0, rows, self.result * weights)
        g = torch.addmm(p[self.HEAD_BIAS], y, p[self.HEAD].t()).sigmoid_()
        g.sub_(self.y.index_select(0, index))

        gy = g * p[self.HEAD]
        gys = gy.index_select(0, rows)
        ggates = torch.empty(BATCH * self.TOP)
        ggates[order] = (gys * self.result).sum(1)
        ggates = ggates.view(BATCH, self.TOP)
        gtop = gates * (ggates - (gates * ggates).sum(1, keepdim=True))
        gscores = torch.zeros_like(scores).scatter_(1, chosen, gtop)
        gresult = gys.mul_(weights)
        for e in used:
            s, t = starts[e], starts[e + 1]
            w1, _, w2, _ = self.expert(p, e)
            gh = self.hidden_gradient[s:t]
            torch.mm(gresult[s:t], w2, out=gh)
            torch.ops.aten.threshold_backward.grad_input(gh, self.hidden[s:t], 0, grad_input=gh)
            torch.mm(gh, w1, out=self.back[s:t])
        gx = torch.addmm(gy, gscores, p[self.ROUTER]).index_add_(0, rows, self.back)
        maps = [
            (self.EMBED, None, phi, gx),
            (self.ROUTER, self.ROUTER_BIAS, x, gscores),
            (self.HEAD, self.HEAD_BIAS, y, g),
        ]
        return maps, (used, starts, rows, xs, self.hidden, self.hidden_gradient, gresult)

    def products(self, maps, experts, weight, bias):
        """Every sum over records of output gradient times activation, given to the two functions."""
        used, starts, _, xs, hidden, gh, gresult = experts
        for w, b, a, g in maps:
            weight(w, g, a)
            if b is not None:
                bias(b, g)
        for e in used:
            s, t = starts[e], starts[e + 1]
            first = self.EXPERTS + 4 * e
            weight(first, gh[s:t], xs[s:t])
            bias(first + 1, gh[s:t])
            weight(first + 2, gresult[s:t], hidden[s:t])
            bias(first + 3, gresult[s:t])

    def into(self, maps, experts):
        g = self.flat.g
        self.products(
            maps,
            experts,
            lambda k, d, a: torch.mm(d.t(), a, out=g[k]),
            lambda k, d: torch.sum(d, 0, out=g[k]),
        )

    def plain_out(self, index):
        maps, experts = self.gradients(index)
        if len(experts[0]) < self.count:
            self.flat.sums.zero_()
        self.into(maps, experts)
        descend(self.flat)

    def plain_fused(self, index):
        maps, experts = self.gradients(index)
        p = self.flat.p
        self.products(
            maps,
            experts,
            lambda k, d, a: p[k].addmm_(d.t(), a, alpha=-RATE / BATCH),
            lambda k, d: p[k].add_(d.sum(0), alpha=-RATE / BATCH),
        )

    def square_norms(self, maps, experts):
        _, _, rows, xs, hidden, gh, gresult = experts
        squares = torch.zeros(BATCH)
        for _, b, a, g in maps:
            squares += (square_rows(a) + (0.0 if b is None else 1.0)) * square_rows(g)
        slots = (square_rows(xs) + 1.0) * square_rows(gh)
        slots += (square_rows(hidden) + 1.0) * square_rows(gresult)
        return squares.index_add_(0, rows, slots)

    def weigh(self, index):
        maps, experts = self.gradients(index)
        f = clip_factors(self.square_norms(maps, experts))
        slots = f.index_select(0, experts[2]).unsqueeze(1)
        for _, _, _, g in maps:
            g.mul_(f.unsqueeze(1))
        experts[5].mul_(slots)
        experts[6].mul_(slots)
        return maps, experts

    def private_out(self, index):
        maps, experts = self.weigh(index)
        if len(experts[0]) < self.count:
            self.flat.sums.zero_()
        self.into(maps, experts)
        descend(self.flat)
        noise_step(self.flat)
        descend(self.flat)

    def private_onto_noise(self, index):
        maps, experts = self.weigh(index)
        noise_step(self.flat)
        g = self.flat.g
        self.products(
            maps,
            experts,
            lambda k, d, a: g[k].addmm_(d.t(), a),
            lambda k, d: g[k].add_(d.sum(0)),
        )
        descend(self.flat)


MODELS = {"mlp": Mlp, "moe": Moe}


class Bench:
    """Models that were asked for, and the formulation of each step that was fastest."""

    def __init__(self, experts):
        self.experts, self.models, self.chosen = experts, {}, {}

    def model(self, name):
        if name not in self.models:
            torch.manual_seed(1)
            self.models[name] = MODELS[name](self.experts)
        return self.models[name]

    @staticmethod
    def times(step, seconds):
        took, end = [], time.perf_counter() + seconds
        while len(took) < 5 or time.perf_counter() < end:
            index = torch.randint(0, RECORDS, (BATCH,))
            start = time.perf_counter()
            step(index)
            took.append(time.perf_counter() - start)
        return took

    def choose(self, name, step):
        best = {}
        for _ in range(3):
            for title, f in self.model(name).steps[step].items():
                best[title] = min(best.get(title, 1e9), min(self.times(f, 0.25)))
        self.chosen[name, step] = min(best, key=best.get), best

    def measure(self, name, step, seconds):
        if (name, step) not in self.chosen:
            self.choose(name, step)
        title, tried = self.chosen[name, step]
        ways = self.model(name).steps[step]
        took = self.times(ways[title], seconds)
        plainest = self.times(next(iter(ways.values())), seconds)
        return {
            "best": min(took),
            "plainest": min(plainest),
            "median": statistics.median(took),
            "samples_per_second": BATCH / min(took),
            "way": title,
            "tried": {t: BATCH / v for t, v in tried.items()},
        }


def about():
    """Which BLAS does the work, as the process has it loaded, and its core type."""
    import ctypes

    torch.mm(torch.ones(64, 64), torch.ones(64, 64))
    with open("/proc/self/maps") as f:
        paths = sorted({line.split()[-1] for line in f if "blas" in line or "mkl" in line})
    core = ""
    for path in paths:
        try:
            name = ctypes.CDLL(path).openblas_get_corename
        except (OSError, AttributeError):
            continue
        name.restype = ctypes.c_char_p
        core = name().decode()
    blas = ", ".join(os.path.basename(p) for p in paths if "lapack" not in p)
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "blas": blas,
        "core": core,
    }


def step_from(model, start, step, index):
    """What a step makes of the weights: their change, in gradients of the batch's sum."""
    model.flat.weights.copy_(start)
    step(index)
    return (start - model.flat.weights) * (BATCH / RATE)


def check(name, experts):
    """Every plain way against autograd; clipped sums and norms against one backward a record."""
    global NOISE
    torch.manual_seed(2)
    NOISE = 0.0
    model = MODELS[name](experts)
    index = torch.randint(0, RECORDS, (BATCH,))
    start = model.flat.weights.clone()
    with torch.enable_grad():
        p = [v.detach().clone().requires_grad_() for v in model.flat.p]
        losses = model.loss(p, index).view(-1).unbind()
    whole, clipped = torch.zeros_like(start), torch.zeros_like(start)
    for i in range(BATCH):
        rows = torch.autograd.grad(losses[i], p, retain_graph=True, allow_unused=True)
        g = torch.cat([(torch.zeros_like(v) if r is None else r).view(-1) for v, r in zip(p, rows)])
        whole += g
        clipped += g * min(1.0, CLIP / float(g.norm()))
    for kind, want in (("plain", whole), ("private", clipped)):
        for title, f in model.steps[kind].items():
            off = float((step_from(model, start, f, index) - want).norm() / want.norm())
            print(f"{name} {kind} ({title}): relative error {off:.1e}")
            if off > 1e-3:
                sys.exit("the peer is wrong")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--serve", action="store_true")
    a.add_argument("--check", action="store_true")
    a.add_argument("--seconds", type=float, default=1.0)
    a.add_argument("--experts", type=int, default=8)
    o = a.parse_args()

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    bench = Bench(o.experts)
    if o.check:
        for name in MODELS:
            check(name, o.experts)
        return
    if not o.serve:
        results = {
            f"{n} {s}": bench.measure(n, s, o.seconds) for n in MODELS for s in ("plain", "private")
        }
        print(json.dumps({**about(), **results}, indent=2))
        return
    print(json.dumps(about()), flush=True)
    for line in sys.stdin:
        name, step, seconds = line.split()
        print(json.dumps(bench.measure(name, step, float(seconds))), flush=True)


main()
