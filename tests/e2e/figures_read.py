"""Reads an MLflow file store and a TensorBoard event file by their formats, and holds them against
each other and against the run. usage: figures_read.py MLRUNS EVENTS ROUNDS NODES EPSILON"""
import pathlib
import struct
import sys

ROUNDS, NODES, EPSILON = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])


def must(what, text):
    if not what:
        sys.exit(f"figures: {text}")


# ---- CRC-32C by a table, checked with the value that RFC 3720 gives ----

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


must(crc32c(b"123456789") == 0xE3069283, "the parser's own CRC is wrong")


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# ---- TensorBoard ----

def records(data):
    while data:
        length, crc = struct.unpack_from("<QI", data)
        must(crc == masked(data[:8]), "the CRC of a length is wrong")
        body = data[12:12 + length]
        must(struct.unpack_from("<I", data, 12 + length)[0] == masked(body),
             "the CRC of a record is wrong")
        yield body
        data = data[16 + length:]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        elif key & 7 == 5:
            value, at = struct.unpack_from("<f", data, at)[0], at + 4
        else:
            must(key & 7 == 2, "a wire type of no event")
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        yield key >> 3, value


def events(folder):
    files = list(folder.iterdir())
    must(len(files) == 1 and files[0].name.startswith("events.out.tfevents."), f"files {files}")
    found = {}
    for i, record in enumerate(records(files[0].read_bytes())):
        event = dict(fields(record))
        if i == 0:
            must(event[3] == b"brain.Event:2" and 5 not in event, "no version at the beginning")
            continue
        value = dict(fields(dict(fields(event[5]))[1]))
        must(value[1].decode() != "" and 2 in value, "a value without a tag or a number")
        found.setdefault(value[1].decode(), []).append((event[2], event[1], value[2]))
    return found


# ---- MLflow ----

def yaml(path):
    return dict(line.split(": ", 1) for line in path.read_text().splitlines())


def mlflow(root):
    experiments = [p for p in root.iterdir()]
    must(len(experiments) == 1 and experiments[0].name.isdigit(), f"experiments {experiments}")
    about = yaml(experiments[0] / "meta.yaml")
    must(about["experiment_id"] == f"'{experiments[0].name}'" and
         about["lifecycle_stage"] == "active", f"experiment {about}")
    runs = [p for p in experiments[0].iterdir() if p.is_dir()]
    must(len(runs) == 1 and len(runs[0].name) == 32, f"runs {runs}")
    about = yaml(runs[0] / "meta.yaml")
    must(about["run_id"] == about["run_uuid"] == runs[0].name and about["status"] == "3" and
         about["artifact_uri"] == f"\"file://{runs[0].resolve()}/artifacts\"", f"run {about}")
    must(int(about["start_time"]) <= int(about["end_time"]), "ended before it began")
    metrics = {}
    for path in (runs[0] / "metrics").iterdir():
        lines = [line.split() for line in path.read_text().splitlines()]
        metrics[path.name] = [(int(s), int(t) / 1000, float(v)) for t, v, s in lines]
    facts = {kind: {p.name: p.read_text() for p in (runs[0] / kind).iterdir()}
             for kind in ("params", "tags")}
    return metrics, facts


metrics, facts = mlflow(pathlib.Path(sys.argv[1]))
plotted = events(pathlib.Path(sys.argv[2]))
must(metrics.keys() == plotted.keys(), f"{sorted(metrics)} and {sorted(plotted)}")
for name, points in metrics.items():
    as_floats = [(s, t, struct.unpack("<f", struct.pack("<f", v))[0]) for s, t, v in points]
    must(as_floats == plotted[name], f"{name}: {points} and {plotted[name]}")
    must([s for s, _, _ in points] == sorted({s for s, _, _ in points}), f"{name}: steps")
must(len(metrics["participants"]) == ROUNDS, f"{len(metrics['participants'])} rounds")
for name in ("participants", "survivors"):
    must(all(1 <= v <= NODES for _, _, v in metrics[name]), f"{name}: {metrics[name]}")
must(max(v for _, _, v in metrics["participants"]) == NODES, "not everybody ever took part")
spent = [v for _, _, v in metrics["epsilon"]]
must(spent == sorted(set(spent)) and 0.9 * EPSILON < spent[-1] <= 1.0002 * EPSILON,
     f"epsilon {spent} of {EPSILON}")
must(float(facts["params"]["epsilon"]) == EPSILON and int(facts["params"]["rounds"]) == ROUNDS and
     facts["params"]["purpose"] == "heart disease risk", f"parameters {facts['params']}")
must(len(facts["tags"]["fedmoe.plan"]) == 64 and facts["tags"]["mlflow.runName"] ==
     facts["params"]["federation"], f"tags {facts['tags']}")
print(f"{len(metrics)} metrics, {sum(map(len, metrics.values()))} points, "
      f"{len(facts['params'])} parameters")
