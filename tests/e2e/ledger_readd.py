"""A ledger's export added up by other software, from docs/ledger.md alone.

usage: ledger_readd.py EXPORT.csv EXPORT.json DATA_SET DELTA
Checks the chain of both exports and that they agree; prints the head, and bounds of epsilon for
the releases of the data set (Gaussians without sampling only: they add up to one).
"""
import csv
import json
import math
import struct
import sys
from hashlib import blake2b

KINDS = {"gaussian": 0, "laplace": 1, "discrete-gaussian": 2}


def u64(v):
    return (int(v) % 2**64).to_bytes(8, "little")


def part(text):
    raw = text.encode()
    return u64(len(raw)) + raw


def link(row, before):
    version = int(row["format"])
    h = blake2b(part("fedmoe ledger v%d" % version), digest_size=32)
    h.update(before + u64(row["sequence"]) + u64(row["wall_s"]))
    h.update(part(row["data_set"]) + part(row["federation"]) + part(row["purpose"]))
    h.update(bytes.fromhex(row["plan"]) + u64(row["round"]))
    for name in ("noise_multiplier", "sampling_rate"):
        h.update(struct.pack("<d", float(row[name])))
    h.update(u64(row["count"]))
    if version == 2:
        h.update(u64(KINDS[row["kind"]]) + u64(row["sensitivity"]) + part(row["unit"]))
        h.update(bytes.fromhex(row["salt"]))
    return h.digest()


def head_of(rows):
    before = bytes(32)
    for i, row in enumerate(rows):
        if int(row["sequence"]) != i + 1:
            sys.exit("entry %d is missing" % (i + 1))
        before = link(row, before)
        if before.hex() != row["hash"]:
            sys.exit("entry %d does not fit its hash" % (i + 1))
    return before.hex()


def upper_tail(x):
    return 0.5 * math.erfc(x / math.sqrt(2))


def epsilon(mu, delta):
    """Of one Gaussian of shift mu (Balle, Wang 2018, theorem 8), by bisection."""
    lo, hi = 0.0, 1e4
    for _ in range(200):
        e = (lo + hi) / 2
        d = upper_tail(e / mu - mu / 2)
        far = upper_tail(e / mu + mu / 2)
        if far > 0:
            d -= math.exp(e + math.log(far))
        lo, hi = (e, hi) if d > delta else (lo, e)
    return hi


def main():
    path_csv, path_json, data_set, delta = sys.argv[1:]
    with open(path_csv, newline="") as f:
        rows = list(csv.DictReader(f))
    with open(path_json) as f:
        book = json.load(f)
    head = head_of(rows)
    if head_of(book["entries"]) != head or book["head"] != head:
        sys.exit("the two exports are not of one ledger")
    square = 0.0
    for row in rows:
        if row["data_set"] != data_set:
            continue
        if row["kind"] != "gaussian" or float(row["sampling_rate"]) != 1.0:
            sys.exit("only Gaussians without sampling are added up here")
        square += int(row["count"]) / float(row["noise_multiplier"]) ** 2
    print(head, "%.12g" % epsilon(math.sqrt(square), float(delta)))


main()
