"""The tabular mixture of experts of docs/model.md, forward only."""
import csv
import math
import pathlib

import numpy as np
import yaml

from . import tensors
from .schema import Schema

LEAST_CLIP = 0.5
OTHERS = {
    "decoder-int8": "a language model in 8 bits: run it with 'fedmoe-model generate --model FILE', "
                    "or open the folder that it was made of with transformers",
    None: "no model of fedmoe; if it is an adapter or a language model, open its folder: "
          "transformers.AutoModelForCausalLM.from_pretrained(FOLDER), "
          "peft.PeftModel.from_pretrained(BASE, FOLDER)",
}


def load(path):
    """Open a model.safetensors of a federation, in float32 or 8 bits. ValueError says what else
    the file is, and what opens that."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: " + _folder(path))
    meta, found = tensors.read(path)
    kind = meta.get("fedmoe.kind")
    if kind != "tabular-moe":
        said = OTHERS.get(kind) or (
            f"'{kind}': adapters of a federation on texts become a folder for PEFT by "
            "'fedmoe-model adapter --model BASE --output FOLDER FILE'")
        raise ValueError(f"{path}: {said}")
    try:
        return Model(meta, tensors.floats(found))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _folder(path):
    if (path / "adapter_config.json").exists():
        return "an adapter: peft.PeftModel.from_pretrained(BASE, FOLDER) opens it beside its base"
    if (path / "config.json").exists():
        return ("a language model: transformers.AutoModelForCausalLM.from_pretrained(FOLDER) "
                "opens it")
    return "a folder, and a file is needed"


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0), "silu": lambda x: x * _sigmoid(x),
               "gelu": _gelu}


class Model:
    """`predict` gives probabilities of the positive class [n], of all classes [n, K], or numbers
    [n], as the schema's label says (`target`, `classes`)."""

    def __init__(self, meta, found):
        self.metadata = meta
        self.schema = Schema(meta["fedmoe.schema"])
        self.config = yaml.load(meta["fedmoe.model"], Loader=yaml.BaseLoader)
        self.target = self.schema.label.target if self.schema.label else "binary"
        self.classes = self.schema.label.classes if self.schema.label else ["0", "1"]
        self.clip_norm = float(meta.get("fedmoe.clip_norm", 0))
        self.multipliers = {k: float(v) for k, v in self.config["multipliers"].items()}
        self.weights = {n: t.astype(np.float64) * self._multiplier(n) for n, t in found.items()}

    def _multiplier(self, name):
        """A stored parameter enters times the multiplier of its kind."""
        kinds = {"linear.weight": "linear", "linear.bias": "bias", "embed.weight": "embed",
                 "head.weight": "head"}
        ends = {"router.weight": "router", "router.bias": "router_bias", "w1": "hidden",
                "b1": "hidden_bias", "w2": "output", "b2": "output_bias"}
        if name in kinds:
            return self.multipliers[kinds[name]]
        for end, kind in ends.items():
            if name.startswith("blocks.") and name.endswith("." + end):
                return self.multipliers[kind]
        return 1.0  # the center, load biases

    def features(self, rows):
        return self.schema.features(rows)

    def predict(self, rows):
        """Of records: a list of dicts, a dict of columns, or a pandas DataFrame."""
        return self.predict_features(self.features(rows))

    def predict_csv(self, path):
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [[c.strip(" \t") for c in r]
                     for r in csv.reader(file, delimiter=self.schema.delimiter) if r]
        names = lines.pop(0) if self.schema.header else self.schema.order
        if lines and not self.schema.header and len(lines[0]) == len(names) - 1:
            names = [n for n in names if n != self.schema.label.name]
        return self.predict([dict(zip(names, line)) for line in lines])

    def predict_features(self, features):
        z = self.outputs(features)
        if self.target == "binary":
            return _sigmoid(z[:, 0])
        if self.target == "number":
            label = self.schema.label
            return np.clip(label.center + label.scale * z[:, 0], label.lo, label.hi)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def outputs(self, features):
        """Log odds [n, 1], scores of the classes [n, K], or a number on the schema's scale."""
        phi = features.astype(np.float64)
        if "features.center" in self.weights:
            phi = phi - self.weights["features.center"]
        return self._corrected(self._forward(phi), phi)

    def _forward(self, phi):
        w = self.weights
        z = self._map(phi, "linear.weight", "linear.bias")
        if "embed.weight" in w:
            x = phi @ w["embed.weight"].T
            for block in range(int(self.config["blocks"])):
                x = self._block(f"blocks.{block}.", x)
            z = z + x @ w["head.weight"].T
        return z

    def _map(self, x, weight, bias):
        w = self.weights
        out = x @ w[weight].T if weight in w else np.zeros((len(x), len(w[bias])))
        return out + w[bias] if bias in w else out

    def _expert(self, prefix, x):
        act = ACTIVATIONS[self.config["activation"]]
        hidden = act(self._map(x, prefix + "w1", prefix + "b1"))
        return self._map(hidden, prefix + "w2", prefix + "b2")

    def _block(self, prefix, x):
        scores = self._map(x, prefix + "router.weight", prefix + "router.bias")
        chosen = scores + self.weights.get(prefix + "router.load_bias", 0.0)
        top = np.argsort(-chosen, axis=1, kind="stable")[:, :int(self.config["top_k"])]
        gates = np.take_along_axis(scores, top, axis=1)
        if self.config["gate"] == "sigmoid":
            gates = _sigmoid(gates)
        else:
            gates = np.exp(gates - gates.max(axis=1, keepdims=True))
            gates /= gates.sum(axis=1, keepdims=True)
        out = float(self.config["residual"]) * x
        if prefix + "shared.w1" in self.weights:
            out = out + self._expert(prefix + "shared.", x)
        for expert in range(int(self.config["experts"])):
            row, place = np.nonzero(top == expert)
            if len(row):
                out[row] += gates[row, place, None] * \
                    self._expert(f"{prefix}experts.{expert}.", x[row])
        return out

    def _corrected(self, z, phi):
        """Of two classes: what clipping did to the probabilities (docs/model.md)."""
        if self.target != "binary" or self.clip_norm <= 0:
            return z
        norm = np.sqrt(self.multipliers["linear"] ** 2 * (phi ** 2).sum(axis=1) +
                       self.multipliers["bias"] ** 2)[:, None]
        size, rest = np.abs(z), np.log1p(np.exp(-np.abs(z)))
        clip = np.maximum(self.clip_norm / np.maximum(norm, 1e-300), LEAST_CLIP)
        odds = np.minimum(-rest, np.log(clip)) + size + rest
        return np.where(norm > self.clip_norm, np.where(z < 0, -odds, odds), z)
