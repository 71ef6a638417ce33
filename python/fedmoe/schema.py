"""A schema's columns, and what they make of cells: docs/schema.md in NumPy."""
import datetime
import math
import re

import numpy as np
import yaml

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
CODE = re.compile(r"([^\d.]*)(\d{1,8})(\Z|\.)")
WINDOW = 3.0  # scales around a center that bins cover
MISSING = object()


class RecordError(ValueError):
    """A cell that the schema does not allow; says record and column."""


def number(text):
    if NUMBER.match(text):
        value = float(text)
        return value if math.isfinite(value) else None
    return None


def day(text):
    """A date as its day, counted from 1970-01-01."""
    try:
        return float((datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days) \
            if DATE.match(text) else None
    except ValueError:
        return None


def text_of(cell):
    """A value of Python, NumPy or pandas as the cell of a file; None: not measured."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)) or \
            type(cell).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(cell, datetime.datetime):
        cell = cell.date()
    if isinstance(cell, datetime.date):
        return cell.isoformat()
    if isinstance(cell, (bool, np.bool_)):
        return str(int(cell))
    if isinstance(cell, np.generic):
        return text_of(cell.item())
    return str(cell)


class Cells:
    """Declared cells: found by their text or, where both are numbers, by number."""

    def __init__(self):
        self.texts, self.numbers = {}, {}

    def add(self, cells, code):
        for i, cell in enumerate(cells):
            self.texts[cell] = code(i)
            if number(cell) is not None:
                self.numbers[number(cell)] = code(i)

    def find(self, text):
        if text in self.texts:
            return self.texts[text]
        value = number(text) if self.numbers else None
        return None if value is None else self.numbers.get(value)


def flag(text):
    return text == "true"


class Encoding:
    """Defaults of the columns, as the file says or the program has them."""

    def __init__(self, said):
        self.weight = float(said.get("weight", math.sqrt(2)))
        self.missing_weight = float(said.get("missing_weight", math.sqrt(2)))
        self.missing_declared = "missing_weight" in said
        self.bin_weight = float(said.get("bin_weight", 1))
        self.linear = float(said.get("linear", 0.5))
        self.centered = flag(said.get("centered", "true"))
        self.numeric = said.get("numeric", "piecewise")
        self.bins = int(said.get("bins", 16))
        self.spacing = said.get("spacing", "auto")
        norm = said.get("norm")
        self.norm = -1.0 if norm is None else 0.0 if norm == "none" else float(norm)


class Column:
    def __init__(self, said, csv_missing, encoding):
        self.name, self.kind = said["name"], said["kind"]
        self.source = said.get("from", self.name)
        self.required = flag(said.get("required", "false"))
        self.odd = said.get("unknown" if self.kind == "categorical" else "outside", "error")
        missing = said.get("missing", [])
        self.declared = Cells()
        self.declared.add(csv_missing, lambda _: MISSING)
        self.declared.add(missing, lambda _: MISSING)
        self.missing_weight = float(said.get("missing_weight", encoding.missing_weight))
        self.missing_default = not encoding.missing_declared and "missing_weight" not in said
        self.indicator = not self.required and bool(csv_missing or missing or
                                                    self.odd == "missing")

    def codes(self, cells):
        """A float for each cell, NaN where it is missing. @raises RecordError"""
        codes = np.empty(len(cells))
        for i, cell in enumerate(cells):
            text = None if cell is None else cell
            found = MISSING if text is None else self.declared.find(text)
            code = found if found is not None and found is not MISSING else None
            if found is None:
                code = self.read(text, i)
            if found is MISSING or code is MISSING:
                if not self.indicator:
                    raise RecordError(f"record {i}, column {self.name}: a cell is missing, and "
                                      "the schema has no way to say so")
                code = math.nan
            codes[i] = code
        return codes

    def features(self, cells):
        codes = self.codes(cells)
        gone = np.isnan(codes)
        values = self.values(np.where(gone, 0.0, codes))
        values[gone] = 0.0
        if self.indicator:
            values = np.column_stack([values, np.where(gone, self.missing_weight, 0.0)])
        return values.astype(np.float32)

    def multiply(self, by):
        self.missing_weight *= by
        self.scale_by(by)


class Numeric(Column):
    def __init__(self, said, csv_missing, encoding):
        super().__init__(said, csv_missing, encoding)
        self.parse = day if self.kind == "date" else number
        self.lo, self.hi = map(self.parse, said["range"])
        self.center = self.parse(said["center"]) if "center" in said \
            else self.lo + (self.hi - self.lo) / 2
        self.scale = float(said.get("scale", (self.hi - self.lo) / 4))
        self.gain, self.bins = 1.0, []
        self.piecewise = self.is_piecewise(said, encoding)
        self.knots = [self.parse(k) for k in said.get("knots", [])]
        self.linear = float(said.get("linear", encoding.linear)) if self.piecewise else 1.0
        if self.piecewise:
            self.read_bins(said, encoding)

    @staticmethod
    def is_piecewise(said, encoding):
        if "encoding" in said:
            return said["encoding"] == "piecewise"
        if {"center", "scale", "knots"} & said.keys():
            return False
        if {"bins", "spacing"} & said.keys():
            return True
        return encoding.numeric != "plain"

    def read_bins(self, said, encoding):
        listed = isinstance(said.get("bins"), list)
        spacing = said.get("spacing", "linear" if self.kind == "date" else encoding.spacing)
        if listed or (self.kind == "date"):
            spacing = "linear"
        elif spacing == "auto":
            wide = self.lo <= 0 <= self.hi or (self.lo > 0 and self.hi / self.lo >= 100)
            spacing = "both" if wide else "linear"
        if spacing != "log":
            self.bins.append(self.listed_edges(said["bins"]) if listed
                             else self.even_edges(said, int(said.get("bins", encoding.bins))))
        if spacing != "linear":
            self.bins.append(self.decade_edges())
        weight = float(said.get("weight", encoding.bin_weight))
        self.middle = 0.5 if flag(said.get("centered", str(encoding.centered).lower())) else 0.0
        self.weights = [2 * weight / math.sqrt(len(edges) - 1) for edges in self.bins]

    def even_edges(self, said, count):
        lo, hi = self.lo, self.hi
        if "center" in said and "scale" in said:
            lo = max(lo, self.center - WINDOW * self.scale)
            hi = min(hi, self.center + WINDOW * self.scale)
        edges = [lo + (hi - lo) * (i / count) for i in range(count + 1)]
        return np.array(edges[:-1] + [hi])

    def listed_edges(self, texts):
        return np.array(sorted({self.lo, self.hi, *map(self.parse, texts)}))

    def decade_edges(self):
        most = max(abs(self.lo), abs(self.hi))
        powers = [most * 10.0 ** (-j / 2) for j in range(9)]
        inner = [-p for p in powers] + [0.0] + powers
        return np.array([self.lo] + sorted(v for v in set(inner) if self.lo < v < self.hi) +
                        [self.hi])

    def read(self, text, i):
        value = self.parse(text)
        if value is None:
            kind = "date (YYYY-MM-DD)" if self.kind == "date" else "number"
            raise RecordError(f"record {i}, column {self.name}: \"{text[:40]}\" is not a {kind}")
        if self.lo <= value <= self.hi:
            return value
        if self.odd == "missing":
            return MISSING
        if self.odd == "error":
            raise RecordError(f"record {i}, column {self.name}: {text[:40]} is outside the "
                              f"declared range {self.lo:.10g} to {self.hi:.10g}")
        return min(max(value, self.lo), self.hi)

    def values(self, v):
        parts = []
        if self.linear > 0:
            parts.append(((v - self.center) / self.scale * self.linear)[:, None])
        for edges, weight in zip(self.bins, self.weights if self.bins else []):
            share = np.clip((v[:, None] - edges[:-1]) / (edges[1:] - edges[:-1]), 0, 1)
            parts.append(weight * (share - self.middle))
        for knot in self.knots:
            parts.append((np.maximum(0, v - knot) / self.scale * self.gain)[:, None])
        return np.hstack(parts)

    def square(self):
        bins = sum(w * w * (len(e) - 1) / 4 for e, w in zip(self.bins, self.weights)) \
            if self.bins else 0.0
        return self.linear ** 2 + bins + len(self.knots)

    def scale_by(self, by):
        self.linear *= by
        self.gain *= by
        if self.bins:
            self.weights = [w * by for w in self.weights]


class Categorical(Column):
    def __init__(self, said, csv_missing, encoding):
        super().__init__(said, csv_missing, encoding)
        values = said.get("values", [])
        self.declared.add(values, lambda i: i)
        self.count, self.groups = len(values), []
        for i, (_, codes) in enumerate(said.get("groups", {}).items()):
            self.groups += [(len(values) + i, self.entry(c.strip(" "))) for c in codes.split(",")]
            self.count += 1
        self.ordered = flag(said.get("ordered", "false"))
        self.weight = float(said.get("weight", encoding.weight)) / (2 if self.ordered else 1)
        self.step = encoding.bin_weight / math.sqrt(len(values) - 1) if self.ordered else 0.0
        centered = flag(said.get("centered", str(encoding.centered).lower()))
        self.middle = 1 / self.count if centered else 0.0

    @staticmethod
    def entry(text):
        """Whether a code is of the entry: a range, a beginning, or a code and its subdivisions."""
        if "-" in text:
            first, last = (CODE.match(part) for part in text.split("-"))
            lo, hi, letters = int(first[2]), int(last[2]), first[1]

            def within(code):
                found = CODE.match(code)
                return bool(found) and found[1] == letters and lo <= int(found[2]) <= hi
            return within
        if text.endswith("*"):
            return lambda code: code.startswith(text[:-1])
        return lambda code: code == text or code.startswith(text + ".")

    def read(self, text, i):
        for group, has in self.groups:
            if has(text):
                return group
        if self.odd == "missing":
            return MISSING
        raise RecordError(f"record {i}, column {self.name}: \"{text[:40]}\" is none of the "
                          "declared values")

    def values(self, v):
        at = v.astype(int)[:, None]
        one = self.weight * ((at == np.arange(self.count)) - self.middle)
        if not self.ordered:
            return one
        steps = np.where(np.arange(1, self.count) <= at, self.step, -self.step)
        return np.hstack([steps, one])

    def square(self):
        return self.weight ** 2 * (1 - 1 / self.count) + \
            ((self.count - 1) * self.step ** 2 if self.ordered else 0.0)

    def scale_by(self, by):
        self.weight *= by
        self.step *= by


class Label:
    """What the model answers: "binary", "classes" or "number"."""

    def __init__(self, said):
        self.name = said["name"]
        if "values" in said:
            self.target, self.classes = "classes", said["values"]
        elif "range" in said:
            self.target, self.classes = "number", None
            self.lo, self.hi = map(float, said["range"])
            self.center = float(said.get("center", self.lo + (self.hi - self.lo) / 2))
            self.scale = float(said.get("scale", (self.hi - self.lo) / 4))
        else:
            self.target = "binary"
            self.classes = [said["negative"][0], said["positive"][0]]


class Schema:
    def __init__(self, text):
        # Every scalar stays the text that it is: "007" and 7 are two values.
        said = yaml.load(text, Loader=yaml.BaseLoader)
        csv, encoding = said.get("csv", {}), Encoding(said.get("encoding", {}))
        self.name, self.text = said["name"], text
        self.header = flag(csv.get("header", "true"))
        self.delimiter = csv.get("delimiter", ",")
        missing = csv.get("missing", [""])
        self.order = [c["name"] for c in said["columns"]]
        self.columns, self.label = [], None
        for column in said["columns"]:
            if column["kind"] == "label":
                self.label = Label(column)
            elif column["kind"] == "categorical":
                self.columns.append(Categorical(column, missing, encoding))
            elif column["kind"] in ("numeric", "date"):
                self.columns.append(Numeric(column, missing, encoding))
        self._apply_norm(encoding)

    def _apply_norm(self, encoding):
        norm = 1.0 if encoding.norm < 0 else encoding.norm
        square = sum(c.square() for c in self.columns)
        if encoding.norm < 0 and any(isinstance(c, Numeric) and not c.piecewise
                                     for c in self.columns):
            norm = 0.0
        for column in self.columns if norm > 0 else []:
            if encoding.norm < 0 and column.missing_default:
                column.missing_weight = 1.0
            column.multiply(norm / math.sqrt(square))

    def features(self, rows):
        """float32[rows, features] of records: dicts, a dict of columns, or a pandas frame."""
        if hasattr(rows, "to_dict"):
            rows = rows.to_dict("records")
        elif isinstance(rows, dict):
            rows = [dict(zip(rows, values)) for values in zip(*rows.values())]
        parts = []
        for column in self.columns:
            if rows and column.source not in rows[0]:
                raise RecordError(f"column {column.source}: the records do not have it")
            parts.append(column.features([text_of(r.get(column.source)) for r in rows]))
        return np.hstack(parts)
