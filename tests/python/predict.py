"""Random records of every kind of column; models of every kind of label and mixture, trained by
fedmoe-model without noise so that no weight is 0; what the package predicts against the program.
usage: predict.py FOLDER-OF-PROGRAMS WORK"""
import csv
import pathlib
import random
import subprocess
import sys

import numpy as np

import fedmoe

BIN, WORK = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
SEED = 20
ROWS = 300
COLUMNS = """
  - {name: age, kind: numeric, range: [18, 100], outside: clip, center: 55, scale: 10, knots: [45, 65]}
  - {name: chol, kind: numeric, range: [100, 600], outside: missing, missing: ["0", "-9"], missing_weight: 0.7}
  - {name: income, kind: numeric, range: [-5000, 500000], outside: clip, bins: 4, linear: 0, required: true}
  - {name: dose, kind: numeric, range: [0.01, 100], spacing: log, weight: 2, centered: false}
  - {name: steps, kind: numeric, range: [0, 9], bins: [1, 2.5, 7]}
  - {name: window, kind: numeric, range: [0, 1000], encoding: piecewise, center: 100, scale: 50}
  - {name: income2, from: income, kind: numeric, range: [0, 300000], outside: clip, encoding: plain}
  - {name: admitted, kind: date, range: [2000-01-01, 2030-12-31], outside: missing}
  - {name: born, kind: date, range: [1920-01-01, 2020-12-31], center: 1970-01-01, scale: 7305}
  - {name: pain, kind: categorical, values: ["1", "2", "3", "007"], unknown: missing, weight: 1.5}
  - {name: stage, kind: categorical, values: [I, II, III, IV], ordered: true}
  - {name: diagnosis, kind: categorical, values: ["250.1"], unknown: missing, centered: false,
     groups: {heart: "390-459, 785", diabetes: "250", factors: "V01-V91", begins: "E10*"}}
  - {name: id, kind: ignore}
"""
LABELS = {
    "binary": '{name: outcome, kind: label, negative: ["0"], positive: ["1", "2"]}',
    "classes": "{name: outcome, kind: label, values: [red, green, blue]}",
    "number": "{name: outcome, kind: label, range: [0, 60], outside: clip, center: 7, scale: 5}",
}
MIXTURES = {
    "default": "blocks: 1",
    "linear": "width: 0",
    "deep": "{blocks: 2, residual: 0.5, gate: sigmoid, activation: gelu, top_k: 1, shared_hidden: 0,"
            " multipliers: {router_bias: 0.5, output_bias: 0.3, bias: 1}, center: false}",
    "wide": "{experts: 7, top_k: 3, activation: relu, multipliers: {output: 1, head: 1}}",
}
draw = random.Random(SEED)


def cell(name):
    """A cell of the column: mostly a value, at times a missing, an odd or an ugly one."""
    if name == "id":
        return str(draw.randrange(10 ** 6))
    if name != "income" and draw.random() < 0.1:
        return ""
    return {
        "age": lambda: draw.choice([str(draw.randint(10, 110)), f"{draw.uniform(18, 100):.3e}"]),
        "chol": lambda: draw.choice(["0", "-9.0", "99", "+250", str(draw.uniform(100, 600))]),
        "income": lambda: str(round(draw.choice([-1, 1, 1]) * 10 ** draw.uniform(0, 6), 2)),
        "dose": lambda: str(10 ** draw.uniform(-2, 2)),
        "steps": lambda: str(draw.choice([0, 1, 2.5, 7, 9, draw.uniform(0, 9)])),
        "window": lambda: str(draw.uniform(0, 1000)),
        "admitted": lambda: f"{draw.randint(1995, 2035)}-{draw.randint(1, 12):02}-28",
        "born": lambda: draw.choice(["1920-01-01", "2000-02-29", "1969-12-31"]),
        "pain": lambda: draw.choice(["1", "2.0", "3e0", "007", "7", "x", " 1"]),
        "stage": lambda: draw.choice(["I", "II", "III", "IV"]),
        "diagnosis": lambda: draw.choice(["250.1", "250.83", "2501", "428.0", "785", "460", "V45.81",
                                          "V99", "E101", "E11", "?"]),
    }[name]()


def write_records(path, names, label):
    draw.seed(SEED)
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(names + ["outcome"])
        for _ in range(ROWS):
            row = [cell(n) for n in names]
            outcome = {"binary": ["0", "1", "2"], "classes": ["red", "green", "blue"],
                       "number": [str(draw.uniform(0, 70))]}[label]
            out.writerow(row + [draw.choice(outcome)])


def program(*words):
    done = subprocess.run([str(w) for w in (BIN / "fedmoe-model",) + words], capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: {done.stderr}")


def said(model, records):
    """The program's predictions: the last columns of its CSV."""
    program("predict", "--model", model, "--input", records, "--output", WORK / "said.csv", "--force")
    with open(WORK / "said.csv", newline="") as file:
        rows = list(csv.reader(file))
    first = [i for i, n in enumerate(rows[0]) if n.startswith(("probability", "prediction"))]
    return np.array([[float(r[i]) for i in first] for r in rows[1:]]).squeeze(), rows


def farthest(model, records):
    expected, _ = said(model, records)
    found = fedmoe.load(model).predict_csv(records)
    if found.shape != expected.shape:
        sys.exit(f"{model}: {found.shape} predictions, not {expected.shape}")
    if float(np.ptp(expected)) < 1e-3:
        sys.exit(f"{model}: all predictions are the same; nothing is shown by that")
    return float(np.max(np.abs(found - expected))), torch_too(model, records, found)


def torch_too(model, records, expected):
    try:
        import torch
    except ImportError:
        return None
    import fedmoe.torch
    module = fedmoe.torch.load(model)
    with open(records, newline="") as file:
        rows = [{k: v.strip(" ") for k, v in r.items()} for r in csv.DictReader(file)]
    with torch.no_grad():
        return float(np.max(np.abs(module.predict(rows).numpy() - expected)))


def one(label, mixture, norm):
    base = WORK / f"{label}-{mixture}-{norm}"
    names = [line.split("name: ")[1].split(",")[0].rstrip("}") for line in COLUMNS.splitlines()
             if "name: " in line and "from:" not in line]
    schema, records, config = (base.with_suffix(s) for s in (".yaml", ".csv", ".model"))
    schema.write_text(f"name: all\ncsv: {{missing: ['', '?']}}\nencoding: {{norm: {norm}}}\n"
                      f"columns:{COLUMNS}  - {LABELS[label]}\n")
    if label != "binary":
        config.write_text(MIXTURES[mixture].replace(", center: false", ""))
    else:
        config.write_text(MIXTURES[mixture])
    write_records(records, names, label)
    float32, int8 = base.with_suffix(".safetensors"), base.with_suffix(".int8.safetensors")
    program("train", "--schema", schema, "--data", records, "--no-privacy", "--rounds", 12,
            "--model-config", config, "--output", float32, "--force")
    program("quantize", "--model", float32, "--output", int8)
    worst = 0.0
    for model in (float32, int8):
        off, in_torch = farthest(model, records)
        scale = 60 if label == "number" else 1
        worst = max(worst, off / scale, (in_torch or 0) / scale)
    print(f"{label}, {mixture}, norm {norm}: off by {worst:.1e} at most")
    return worst


def refused(path, text, problem=ValueError):
    try:
        fedmoe.load(path)
    except problem as e:
        if text in str(e):
            return
        sys.exit(f"{path}: said '{e}', not '{text}'")
    sys.exit(f"{path}: was opened")


def odd_files():
    folder = WORK / "folder"
    folder.mkdir()
    refused(folder, "a file is needed")
    (folder / "config.json").write_text("{}")
    refused(folder, "transformers")
    (folder / "adapter_config.json").write_text("{}")
    refused(folder, "peft.PeftModel")
    bad = WORK / "bad.safetensors"
    good = (WORK / "binary-default-none.safetensors").read_bytes()

    def header(text):
        return len(text).to_bytes(8, "little") + text + bytes(64)
    for data, text in ((b"", "not a safetensors"), (b"\xff" * 100, "not a safetensors"),
                       (header(b"[]"), "no JSON object"), (header(b"{"), "no JSON object"),
                       (header(b'{"a": {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}}'),
                        "does not lie within"),
                       (header(b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": ["0", 16]}}'),
                        "no known type or shape"),
                       (header(b'{"__metadata__": {"fedmoe.kind": "tabular-moe"}, "a": '
                               b'{"dtype": "I8", "shape": [4], "data_offsets": [0, 4]}}'),
                        "bad.safetensors: tensor 'a' is in 8 bits, and its scales are missing"),
                       (good[:-4], "does not lie within"),
                       (good.replace(b"tabular-moe", b"another-moe"), "fedmoe-model adapter")):
        bad.write_bytes(data)
        refused(bad, text)
    model = fedmoe.load(WORK / "binary-default-none.safetensors")
    with open(WORK / "binary-default-none.csv", newline="") as file:
        row = next(csv.DictReader(file))
    for change, text in (({"stage": "V"}, "column stage"), ({"income": None}, "column income"),
                         ({"born": "1999-02-30"}, "not a date")):
        try:
            model.predict([row | change])
        except fedmoe.RecordError as e:
            if text in str(e):
                continue
        sys.exit(f"{change} was not refused as it should be")
    # The same record as Python has it.
    class NaTType:  # as pandas calls what is not measured
        pass
    number = row | {"income": float(row["income"]), "chol": float("nan"), "pain": None,
                    "admitted": NaTType()}
    text = row | {"chol": "", "pain": "", "admitted": ""}
    if model.predict([number])[0] != model.predict([text])[0]:
        sys.exit("numbers and texts give different predictions")


worst = max(one(label, mixture, norm) for label, mixture, norm in (
    ("binary", "default", "none"), ("binary", "deep", "1"), ("binary", "linear", "none"),
    ("classes", "wide", "1"), ("classes", "default", "none"), ("number", "deep", "none")))
odd_files()
try:
    import torch
    print(f"PyTorch {torch.__version__}")
except ImportError:
    print("PyTorch is not here: its part was not looked at")
sys.exit(0 if worst <= 1e-5 else f"off by {worst}")
