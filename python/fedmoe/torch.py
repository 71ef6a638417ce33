"""The same model as a torch.nn.Module.

    import fedmoe.torch
    module = fedmoe.torch.load("model.safetensors")
    outputs = module(module.features(rows))        # as Model.outputs: log odds, scores, a number
    module.predict(rows)                           # as Model.predict
"""
import torch

from . import model as plain


def load(path):
    return Module(plain.load(path))


class Module(torch.nn.Module):
    """Weights are parameters, with their multipliers; gradients flow through all but the choice of
    experts."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.names = {n: n.replace(".", "_") for n in model.weights}
        for name, weight in model.weights.items():
            fixed = name == "features.center" or name.endswith("load_bias")
            self.register_parameter(self.names[name], torch.nn.Parameter(
                torch.from_numpy(weight.copy()), requires_grad=not fixed))

    def weight(self, name):
        return getattr(self, self.names[name]) if name in self.names else None

    def features(self, rows):
        return torch.from_numpy(self.model.features(rows))

    def predict(self, rows):
        z = self(self.features(rows))
        if self.model.target == "binary":
            return torch.sigmoid(z[:, 0])
        if self.model.target == "number":
            label = self.model.schema.label
            return torch.clamp(label.center + label.scale * z[:, 0], label.lo, label.hi)
        return torch.softmax(z, dim=1)

    def forward(self, features):
        phi = features.to(next(self.parameters()).dtype)
        center = self.weight("features.center")
        if center is not None:
            phi = phi - center
        z = self._map(phi, "linear.weight", "linear.bias")
        if "embed.weight" in self.names:
            x = phi @ self.weight("embed.weight").T
            for block in range(int(self.model.config["blocks"])):
                x = self._block(f"blocks.{block}.", x)
            z = z + x @ self.weight("head.weight").T
        return self._corrected(z, phi)

    def _map(self, x, weight, bias):
        w, b = self.weight(weight), self.weight(bias)
        out = x @ w.T if w is not None else x.new_zeros(len(x), len(b))
        return out if b is None else out + b

    def _expert(self, prefix, x):
        act = {"relu": torch.relu, "silu": torch.nn.functional.silu,
               "gelu": lambda v: torch.nn.functional.gelu(v, approximate="tanh")}
        hidden = act[self.model.config["activation"]](self._map(x, prefix + "w1", prefix + "b1"))
        return self._map(hidden, prefix + "w2", prefix + "b2")

    def _block(self, prefix, x):
        scores = self._map(x, prefix + "router.weight", prefix + "router.bias")
        bias = self.weight(prefix + "router.load_bias")
        chosen = scores if bias is None else scores + bias
        top = torch.sort(chosen, dim=1, descending=True, stable=True)[1]
        top = top[:, :int(self.model.config["top_k"])]
        gates = torch.gather(scores, 1, top)
        gates = torch.sigmoid(gates) if self.model.config["gate"] == "sigmoid" \
            else torch.softmax(gates, dim=1)
        out = float(self.model.config["residual"]) * x
        if prefix + "shared.w1" in self.names:
            out = out + self._expert(prefix + "shared.", x)
        for expert in range(int(self.model.config["experts"])):
            row, place = torch.nonzero(top == expert, as_tuple=True)
            if len(row):
                out = out.index_add(0, row, gates[row, place, None] *
                                    self._expert(f"{prefix}experts.{expert}.", x[row]))
        return out

    def _corrected(self, z, phi):
        m = self.model
        if m.target != "binary" or m.clip_norm <= 0:
            return z
        norm = torch.sqrt(m.multipliers["linear"] ** 2 * (phi ** 2).sum(dim=1) +
                          m.multipliers["bias"] ** 2)[:, None]
        size, rest = torch.abs(z), torch.log1p(torch.exp(-torch.abs(z)))
        clip = torch.clamp(m.clip_norm / norm, min=plain.LEAST_CLIP)
        odds = torch.minimum(-rest, torch.log(clip)) + size + rest
        return torch.where(norm > m.clip_norm, torch.where(z < 0, -odds, odds), z)
