"""Safetensors: 8 bytes of length, a JSON header, tensors one behind the other."""
import json
import math
import os

import numpy as np

TYPES = {"F32": "<f4", "F16": "<f2", "I8": "i1", "U8": "u1"}
MOST_HEADER = 100 << 20


def read(path):
    """(metadata, {name: array}) of a file; ValueError says what is wrong with it."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MOST_HEADER):
            raise ValueError(f"{path}: not a safetensors file")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            header = None
        if not isinstance(header, dict):
            raise ValueError(f"{path}: the header is no JSON object")
        data = file.read()
    meta = header.pop("__metadata__", {})
    return meta, {name: _tensor(path, name, entry, data) for name, entry in header.items()}


def _tensor(path, name, entry, data):
    try:
        begin, end = entry["data_offsets"]
        kind = np.dtype(TYPES[entry["dtype"]])
        shape = [int(n) for n in entry["shape"]]
        lies = 0 <= begin <= end <= len(data)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: tensor '{name}' is of no known type or shape") from None
    count = math.prod(shape)
    if not lies or min(shape, default=0) < 0 or count * kind.itemsize != end - begin:
        raise ValueError(f"{path}: tensor '{name}' does not lie within the file")
    return np.frombuffer(data, kind, count, begin).reshape(shape)


def floats(tensors):
    """The tensors as float32: of weights in 8 bits, each row times its scale."""
    found = {}
    for name, tensor in tensors.items():
        if tensor.dtype == np.int8:
            if name + "_scale" not in tensors:
                raise ValueError(f"tensor '{name}' is in 8 bits, and its scales are missing")
            found[name] = tensor.astype(np.float32) * tensors[name + "_scale"][:, None]
        elif not (name.endswith("_scale") and name[:-6] in tensors):
            found[name] = tensor.astype(np.float32)
    return found
