"""Sums by groups: who is summed with whom (docs/protocol.md, section 9.4), and the robust mean (section 17)."""
import math

from digests import H, u64
from wire import need

MEDIAN, TRIMMED, GEOMETRIC = 1, 2, 3
STEPS = 64


def count(plan):
    return plan.get("robust_groups", 0) or 1


def nodes(plan):
    """Most nodes of one sum."""
    return -(-plan["max_nodes"] // count(plan))


def quorum(plan):
    """Fewest survivors of one sum."""
    return plan["robust_quorum"] if plan.get("robust_groups") else plan["quorum"]


def spoiled(plan):
    """Groups that may hold anything."""
    return plan["robust_trim"] if plan["robust_mean"] == TRIMMED else (count(plan) - 1) // 2


def draw(plan, view, participants):
    """Lists of participants, one for each group."""
    seed = H("fedmoe groups v1", view)
    order = sorted(participants, key=lambda v: H("fedmoe place v1", seed, u64(v)))
    return [sorted(order[g::count(plan)]) for g in range(count(plan))]


def need_quorum(plan, groups, survivors):
    """Of each group; raises Refused."""
    for g, members in enumerate(groups):
        need(len(groups) == 1 or len(set(members) & set(survivors)) >= plan["robust_quorum"],
             f"group {g} has too few survivors")


# ---- the mean ----

def _sorted_mean(x, cut):
    x = sorted(x)[cut:len(x) - cut]
    total = 0.0
    for v in x:
        total += v
    return total / len(x)


def _distances(weights, d):
    out, total = [], 0.0
    for w, row in zip(weights, d):
        s = 0.0
        for v, of in zip(weights, row):
            s += v * of
        out.append(s)
        total += w * s
    return [math.sqrt(max(s - 0.5 * total, 0.0)) for s in out]


def _weights(sums):
    n = len(sums)
    d = [[0.0] * n for _ in sums]
    for i in range(1, n):
        for j in range(i):
            s = 0.0
            for a, b in zip(sums[i], sums[j]):
                s += (a - b) * (a - b)
            d[i][j] = d[j][i] = s
    roots = [[math.sqrt(v) for v in row] for row in d]
    lengths = []
    for row in roots:
        s = 0.0
        for v in row:
            s += v
        lengths.append(s)
    best = lengths.index(min(lengths))
    far = list(roots[best])
    far[best] = min(v for i, v in enumerate(far) if i != best)
    most = max(max(row) for row in roots)
    weights = [1.0 / n] * n
    for _ in range(STEPS if most > 0 else 0):
        least = max(1e-6 * sorted(far)[n // 2], 1e-12 * most)
        weights = [1.0 / max(v, least) for v in far]
        total = 0.0
        for w in weights:
            total += w
        weights = [w / total for w in weights]
        far = _distances(weights, d)
    return weights


def estimate(plan, sums, f32):
    """The estimate of the sum of all, of the groups' decoded sums."""
    if len(sums) == 1:
        return sums[0]
    n, rule = len(sums), plan["robust_mean"]
    if rule == GEOMETRIC:
        weights, out = _weights(sums), []
        for x in zip(*sums):
            s = 0.0
            for w, v in zip(weights, x):
                s += w * v
            out.append(f32(n * s))
        return out
    cut = plan["robust_trim"] if rule == TRIMMED else (n - 1) // 2
    return [f32(n * _sorted_mean(x, cut)) for x in zip(*sums)]


def noise(plan):
    """What the estimate carries over one sum's noise, where each group's sum carries that."""
    if not plan["robust_groups"]:
        return 1.0
    return math.sqrt(plan["robust_groups"]) * (1.2533141373155003 if plan["robust_mean"] == MEDIAN else 1.0)
