"""The peer of tests/bench/predict_one, in PyTorch: the tabular model in float32, one record at a time,
on one thread. Prints microseconds for one record."""
import argparse
import sys
import time

p = argparse.ArgumentParser()
for name in "features width experts top-k hidden shared".split():
    p.add_argument("--" + name, type=int, required=True)
a = p.parse_args()
try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    print("nan")
    sys.exit(0)

torch.set_num_threads(1)
torch.manual_seed(1)


class Feed(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.w1, self.w2 = nn.Linear(a.width, hidden), nn.Linear(hidden, a.width, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.center = nn.Parameter(torch.zeros(a.features))
        self.skip, self.embed = nn.Linear(a.features, 1), nn.Linear(a.features, a.width, bias=False)
        self.router = nn.Linear(a.width, a.experts, bias=False)
        self.shared, self.head = Feed(a.shared), nn.Linear(a.width, 1, bias=False)
        self.experts = nn.ModuleList(Feed(a.hidden) for _ in range(a.experts))

    def forward(self, features):
        phi = features - self.center
        x = self.embed(phi)
        score, chosen = self.router(x).topk(a.top_k, dim=-1)
        gate = score.softmax(-1)
        y = self.shared(x)
        for k in range(a.top_k):
            y = y + gate[:, k : k + 1] * self.experts[int(chosen[0, k])](x)
        return self.skip(phi) + self.head(y)


model = Model().eval()
records = (torch.rand(256, 1, a.features) < 0.125).float()
best = float("inf")
with torch.inference_mode():
    for _ in range(20):
        start = time.perf_counter()
        for r in records:
            model(r)
        best = min(best, time.perf_counter() - start)
print(1e6 * best / len(records))
