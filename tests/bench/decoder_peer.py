"""The peer of tests/bench/decoder, in PyTorch: the same model, batch and threads; forward, loss and
backward of all weights, written with the operations that PyTorch has for them. Prints one line."""
import argparse
import os
import sys
import time

p = argparse.ArgumentParser()
p.add_argument("--processor-time", action="store_true")
for name in "threads width layers heads experts top-k hidden vocabulary length sequences tries".split():
    p.add_argument("--" + name, type=int, required=True)
a = p.parse_args()
for name in "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS":
    os.environ[name] = str(a.threads)  # before the libraries are loaded

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("  PyTorch is not installed: python3-torch")
    sys.exit(0)

torch.set_num_threads(a.threads)
torch.manual_seed(1)
D, H, V, T, B, N = a.width, a.heads, a.vocabulary, a.length, a.sequences, a.experts


def weight(*shape):
    return (0.02 * torch.randn(*shape)).requires_grad_()


def gain():
    return torch.ones(D, requires_grad=True)


embedding, head, last = weight(V, D), weight(V, D), gain()
layers = [
    {
        "in": gain(), "post": gain(), "qn": gain(), "kn": gain(),
        "q": weight(D, D), "k": weight(D, D), "v": weight(D, D), "o": weight(D, D),
        "router": weight(N, D),
        "gate_up": [weight(2 * a.hidden, D) for _ in range(N)],
        "down": [weight(D, a.hidden) for _ in range(N)],
    }
    for _ in range(a.layers)
]
every = [embedding, head, last]
for l in layers:
    for v in l.values():
        every += v if isinstance(v, list) else [v]

angle = torch.outer(torch.arange(T).float(), 1e4 ** (-torch.arange(0, D // H, 2).float() / (D // H)))
cos, sin = (torch.cat((f, f), 1) for f in (angle.cos(), angle.sin()))


def norm(x, w):
    if hasattr(F, "rms_norm"):
        return F.rms_norm(x, (x.shape[-1],), w, 1e-5)
    return w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


later = torch.full((T, T), float("-inf")).triu(1)


def mix(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.softmax(q @ k.transpose(2, 3) * (D // H) ** -0.5 + later, -1) @ v


def turn(x):
    n = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., n:], x[..., :n]), -1) * sin


def heads(x):
    return x.view(B, T, H, D // H).transpose(1, 2)


def attend(l, x):
    q = turn(heads(norm(F.linear(x, l["q"]), l["qn"])))
    k = turn(heads(norm(F.linear(x, l["k"]), l["kn"])))
    v = heads(F.linear(x, l["v"]))
    y = mix(q, k, v)
    return F.linear(y.transpose(1, 2).reshape(B, T, D), l["o"])


def feed(l, x):
    x = x.reshape(-1, D)
    weights, chosen = F.softmax(F.linear(x, l["router"]), -1).topk(a.top_k, -1)
    out = torch.zeros_like(x)
    for e in range(N):
        rows, place = torch.where(chosen == e)
        gate, up = F.linear(x[rows], l["gate_up"][e]).chunk(2, -1)
        y = F.linear(F.silu(gate) * up, l["down"][e])
        out = out.index_add(0, rows, y * weights[rows, place, None])
    return out.view(B, T, D)


def step(tokens):
    x = F.embedding(tokens, embedding)
    for l in layers:
        x = x + attend(l, norm(x, l["in"]))
        x = x + feed(l, norm(x, l["post"]))
    z = F.linear(norm(x, last)[:, :-1], head)
    F.cross_entropy(z.reshape(-1, V), tokens[:, 1:].reshape(-1)).backward()


tokens = torch.randint(V, (B, T))
clock = time.process_time if a.processor_time else time.monotonic
best = float("inf")
for t in range(a.tries + 1):  # the first warms up
    for w in every:
        w.grad = None
    begin = clock()
    step(tokens)
    if t:
        best = min(best, clock() - begin)
print(f"  {'PyTorch ' + torch.__version__:<34} {B * T / best:8.0f} tokens/s")
