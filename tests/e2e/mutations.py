#!/usr/bin/env python3
"""Forty mistakes a person would make of each kind of input, and what the programs say to each.

  mutations.py --bin DIR --run DIR [--kind KIND]... [--every N] [--list FILE]

--run is a folder that fedmoe-demo --setup-only --keep made. Of each mistake: the exit code must be 1
or 2 (0 where it is harmless), within 20 seconds, and the message must name the place that the mistake
is at. Prints the score of each kind; --list writes all mistakes and messages, to be read.
Standard library only.
"""
import argparse
import base64
import concurrent.futures
import gzip
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile

# ---- the good files ----

SCHEMA = """\
name: clinic
description: visits of a clinic
csv: {header: true, delimiter: ",", missing: ["", "NA"]}
columns:
  - name: patient
    kind: ignore
  - name: age
    kind: numeric
    range: [18, 100]
  - name: sex
    kind: categorical
    values: [female, male]
  - name: admitted
    kind: date
    range: [2000-01-01, 2030-12-31]
  - name: chol
    kind: numeric
    range: [100, 400]
    outside: error
  - name: ward
    kind: categorical
    values: [north, south, east]
    required: true
  - name: outcome
    kind: label
    negative: [home]
    positive: [died]
"""

HEADER = "patient,age,sex,admitted,chol,ward,outcome"
ROWS = 60


def good_records():
    lines = [HEADER]
    for i in range(ROWS):
        lines.append(
            "p%02d,%d,%s,20%02d-%02d-%02d,%d,%s,%s"
            % (i // 2, 30 + i % 50, ["female", "male"][i % 2], 10 + i % 10, 1 + i % 12, 1 + i % 28,
               150 + 3 * i, ["north", "south", "east"][i % 3], ["home", "died"][i % 5 == 0])
        )
    return "\n".join(lines) + "\n"


NODE = """\
name: northgate
aggregator:
  door: "{door}"
  door_key: "{key}"
identity: identity
data:
  name: "northgate"
  records: records.csv
  schema: schema.yaml
ledger: ledger.db
threads: 2
policy:
  epsilon: 1
  delta: 0.0001
  purposes:
    - "heart disease risk"
  unit: patient
  tasks: [training]
  min_cohort: 3
  min_colluders: 1
  masks: sparse
  max_rows: 100000
"""

FEDERATION = """\
name: heart-demo
purpose: heart disease risk
listen:
  door: "tcp://127.0.0.1:56747"
model: model.safetensors
privacy:
  unit: record
  epsilon: 1
  delta: 0.0001
  expected_units: 610
  max_units: 1220
cohort:
  nodes: 4
  min: 3
  quorum: 3
  colluders: 1
training:
  rounds: 4
timeouts:
  join_s: 30
  round_s: 10
"""

DICTIONARY = """\
name,type,min,max,unit,categories,label,description
patient,identifier,,,,,Patient,a number
age,integer,18,100,years,,Age,at admission
sex,category,,,,female=F; male=M,Sex,
admitted,date,2000-01-01,2030-12-31,,,Admitted,
chol,number,100,400,mg/dl,,Cholesterol,
ward,category,,,,north|south|east,Ward,
outcome,label,,,,home=alive; died=dead,Outcome,
"""

REDCAP = """\
"Variable / Field Name","Form Name","Field Type","Field Label","Choices, Calculations, OR Slider Labels","Field Note","Text Validation Type OR Show Slider Number","Text Validation Min","Text Validation Max",Identifier?
patient,visit,text,Patient,,,,,,y
age,visit,text,Age,,,integer,18,100,
sex,visit,radio,Sex,"female, Female | male, Male",,,,,
admitted,visit,text,Admitted,,,date_ymd,2000-01-01,2030-12-31,
chol,visit,text,Cholesterol,,,number,100,400,
ward,visit,dropdown,Ward,"north, North | south, South | east, East",,,,,
outcome,visit,radio,Outcome,"home, Home | died, Died",,,,,
"""

TEXT_SCHEMA = "name: notes\nsource: ndjson\ntext: note.text\nunit: who\n"


def good_notes():
    return "".join(
        json.dumps({"who": "p%d" % (i // 2), "note": {"text": "pain is worse since day %d" % i}}) + "\n"
        for i in range(20)
    )


# ---- how a mistake is made ----

KINDS = {}


class Mistake:
    def __init__(self, name, change, expect, harmless=False, extra=None):
        self.name, self.change, self.expect = name, change, expect
        self.harmless, self.extra = harmless, extra


def kind(name):
    """The list of a kind's mistakes is what the function returns."""
    def take(f):
        KINDS[name] = f
        return f
    return take


def sub(old, new, count=1):
    """Replaces a text that must be there."""
    def change(text):
        assert old in text, old
        return text.replace(old, new, count)
    return change


def line(n, f):
    """Changes line n (from 1)."""
    def change(text):
        lines = text.split("\n")
        lines[n - 1] = f(lines[n - 1])
        return "\n".join(lines)
    return change


def cell(n, column, value):
    """Sets a cell of the records: line n, a column of HEADER."""
    at = HEADER.split(",").index(column)

    def f(row):
        cells = row.split(",")
        cells[at] = value
        return ",".join(cells)
    return line(n, f)


def every(column, f):
    """Changes a column in all records."""
    at = HEADER.split(",").index(column)

    def change(text):
        lines = text.rstrip("\n").split("\n")
        for i in range(1, len(lines)):
            cells = lines[i].split(",")
            cells[at] = f(cells[at])
            lines[i] = ",".join(cells)
        return "\n".join(lines) + "\n"
    return change


def drop_column(column):
    at = HEADER.split(",").index(column)

    def change(text):
        return "".join(",".join(c for i, c in enumerate(l.split(",")) if i != at) + "\n"
                       for l in text.rstrip("\n").split("\n"))
    return change


def raw(f):
    """A change of bytes."""
    f.raw = True
    return f


def delete(path):
    def change(folder):
        os.remove(os.path.join(folder, path))
    return change


def tar(data):
    """A tar.gz of it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        info = tarfile.TarInfo("records.csv")
        info.size = len(data)
        t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def in_place(make):
    """Something else of the file's name."""
    def change(path):
        os.remove(path)
        make(path)
    change.in_place = True
    return change


def said(csv, change=lambda t: t):
    """The records changed, and csv: in node.yaml beside them."""
    def both(path):
        node = os.path.join(os.path.dirname(path), "node.yaml")
        for name, f in ((path, change), (node, sub("  schema: schema.yaml", "  schema: schema.yaml\n  csv: " + csv))):
            with open(name) as old:
                text = f(old.read())
            with open(name, "w") as new:
                new.write(text)
    both.in_place = True
    return both


def linked_to_itself(path):
    os.symlink(os.path.basename(path), path)


def lost_cell(row):
    """The first cell is lost, and a delimiter at the end makes up for it."""
    cells = row.split(",")
    return ",".join(cells[:1] + cells[2:]) + ","


def at(n, column, rest=""):
    return r"records\.csv:%d, column %s: .*%s" % (n, column, rest)


@kind("records")
def records():
    m = Mistake
    return [
        m("a word for a number", cell(7, "age", "fifty"), at(7, "age", "fifty")),
        m("a decimal comma in quotes", cell(7, "chol", '"199,5"'), at(7, "chol", "comma")),
        m("a decimal comma without quotes", cell(7, "chol", "199,5"), r"records\.csv:7: 8 fields where 7"),
        m("a thousands mark", cell(8, "chol", '"1,199"'), at(8, "chol", "thousands")),
        m("a number with its unit", cell(9, "chol", "199 mg/dl"), at(9, "chol", "unit")),
        m("below the limit of detection", cell(9, "chol", "<100"), at(9, "chol", "limit")),
        m("a percent sign", cell(9, "chol", "55%"), at(9, "chol", "percent")),
        m("an undeclared word for missing", cell(12, "age", "unknown"), at(12, "age", "missing")),
        m("a question mark for missing", cell(12, "chol", "?"), at(12, "chol", "missing")),
        m("a spreadsheet's error", cell(12, "chol", "#VALUE!"), at(12, "chol", "missing")),
        m("an age of 999", cell(14, "age", "999"), at(14, "age", "range 18 to 100")),
        m("a negative age", cell(14, "age", "-4"), at(14, "age", "range 18 to 100")),
        m("cholesterol in mmol/l", every("chol", lambda v: "%.2f" % (int(v) / 38.67)), r"records\.csv, column chol: .*mmol"),
        m("all ages ten times too large", every("age", lambda v: v + "0"), r"records\.csv, column age: .*divided by 10"),
        m("a day before a month", cell(5, "admitted", "17.03.2015"), at(5, "admitted", "year, month")),
        m("an American date", cell(5, "admitted", "03/17/2015"), at(5, "admitted", "year, month")),
        m("a day that does not exist", cell(5, "admitted", "2015-02-30"), at(5, "admitted", "no such day")),
        m("a date with its time", cell(5, "admitted", "2015-02-03T10:00"), at(5, "admitted", "time")),
        m("a spreadsheet's day number", cell(5, "admitted", "42072"), at(5, "admitted", "spreadsheet")),
        m("a date long ago", cell(5, "admitted", "1915-02-03"), at(5, "admitted", "2000-01-01")),
        m("another case", cell(20, "sex", "Female"), at(20, "sex", 'mean "female"')),
        m("a typing error in a category", cell(20, "ward", "nroth"), at(20, "ward", 'mean "north"')),
        m("another language", cell(20, "sex", "männlich"), at(20, "sex", "männlich")),
        m("a required cell is empty", cell(22, "ward", ""), at(22, "ward", "required")),
        m("a missing label", cell(23, "outcome", ""), at(23, "outcome", "never missing")),
        m("an unknown label", cell(23, "outcome", "alive"), at(23, "outcome", "home")),
        m("no patient", cell(24, "patient", ""), at(24, "patient", "whose")),
        m("a cell too few", line(30, lambda l: l.rsplit(",", 1)[0]), r"records\.csv:30: 6 fields where 7"),
        m("a cell too many", line(30, lambda l: l + ",x"), r"records\.csv:30: 8 fields where 7"),
        m("a column is not there", drop_column("chol"), at(1, "chol", "header")),
        m("a column in another case", line(1, lambda l: l.replace("chol", "Chol")), at(1, "chol", '"Chol"')),
        m("a column mistyped", line(1, lambda l: l.replace("admitted", "admited")), at(1, "admitted", '"admited"')),
        m("a column twice", line(1, lambda l: l.replace("age", "chol")), at(1, "chol", "twice")),
        m("no header", lambda t: t.split("\n", 1)[1], r"records\.csv:1, column age: .*header"),
        m("semicolons", lambda t: t.replace(",", ";"), r"records\.csv:1: .*delimiter"),
        m("an open quote", line(40, lambda l: '"' + l), r"records\.csv:40: .*quote"),
        m("a quote inside a cell", cell(41, "ward", 'no"rth'), r"records\.csv:41: .*quote"),
        m("a NUL byte", raw(lambda b: b.replace(b"p05", b"p\x005", 1)), r"records\.csv:12: .*NUL"),
        m("UTF-16", raw(lambda b: b"\xff\xfe" + b.decode().encode("utf-16-le")), r"records\.csv: .*UTF-16"),
        m("Latin-1", raw(lambda b: b.replace(b"female", b"m\xe4nnlich", 1)), r"records\.csv:2, column sex: .*UTF-8"),
        m("an Excel workbook", raw(lambda b: b"PK\x03\x04\x14\0\6\0\0\0[Content_Types].xml" + b), r"records\.csv: .*Excel"),
        m("a web page", raw(lambda b: b"<!DOCTYPE html><html>login</html>"), r"records\.csv: .*web page"),
        m("an empty file", raw(lambda b: b""), r"records\.csv: .*no records"),
        m("a header alone", lambda t: HEADER + "\n", r"records\.csv: .*no records"),
        m("a damaged gzip", raw(lambda b: gzip.compress(b)[:-9]), r"records\.csv: "),
        m("a byte order mark and CR LF", raw(lambda b: b"\xef\xbb\xbf" + b.replace(b"\n", b"\r\n")), r"ok +records", True),
        m("columns in another order, one more", lambda t: "".join(
            ",".join(reversed(l.split(","))) + ",x%d\n" % i for i, l in enumerate(t.rstrip("\n").split("\n"))),
          r"ok +records", True),
        m("nobody died", every("outcome", lambda v: "home"), r"WARNING.*\n.*records\.csv, column outcome: .*died", True),
        m("an empty column", every("chol", lambda v: ""), r"WARNING.*\n.*records\.csv, column chol: not one value", True),
        m("a pipe that nobody writes to", in_place(os.mkfifo), r"records\.csv: is a named pipe"),
        m("a folder", in_place(os.mkdir), nod(8, "records\.csv is a folder")),
        m("Parquet", raw(lambda b: b"PAR1\x15\4" + b), r"records\.csv: .*Parquet.*duckdb"),
        m("a packed archive", raw(tar), r"records\.csv: .*tar archive; unpack"),
        m("all rows twice", lambda t: t + t.split("\n", 1)[1], r"WARNING.*\n.*records\.csv:62: this is line 2 once more", True),
        m("the file twice", lambda t: t + t, r"records\.csv:62: the header once more"),
        m("a no-break space in the header", line(1, lambda l: l.replace("age", "age\u00a0")), at(1, "age", "no-break")),
        m("a delimiter behind the header", line(1, lambda l: l + ","), r"records\.csv:2: .*header ends with a delimiter"),
        m("a title before the header", lambda t: "Export\n" + t, r"records\.csv:1: .*title.*skip_lines"),
        m("empty cells alone", lambda t: t + ",,,,,,\n", r"records\.csv:62: all cells are empty"),
        m("too large a number", cell(9, "chol", "1e400"), at(9, "chol", "too large")),
        m("points and a comma", cell(9, "chol", '"1.234,5"'), at(9, "chol", "decimal comma and points")),
        m("an age in months", cell(9, "age", "480"), at(9, "age", "months")),
        m("ages in days", every("age", lambda v: str(365 * int(v))), r"records\.csv, column age: .*days for years"),
        m("a year of birth", cell(9, "age", "1965"), at(9, "age", "year of birth")),
        m("a month before a day", cell(5, "admitted", "2015-17-03"), at(5, "admitted", "wrong order")),
        m("a letter for a digit", cell(9, "chol", "15O"), at(9, "chol", "letter")),
        m("the file is not there", delete("records.csv"), r"records\.csv is not there"),
        m("a link to itself", in_place(linked_to_itself), r"records\.csv: is a link that leads back to itself"),
        m("patients' numbers cut by a spreadsheet", every("patient", lambda v: "9.876E+07"), at(2, "patient", "spreadsheet cut short.*text")),
        m("a patient called unknown", lambda t: cell(5, "patient", "Unknown")(cell(9, "patient", "Unknown")(t)),
          r'WARNING.*nobody\n.*records\.csv:5, column patient: "Unknown" in 2 records', True),
        m("three lines before the header", lambda t: "Export\nof ward 3\nmade on a Monday\n" + t,
          r"records\.csv:1: .*header is line 4: .*skip_lines: 3"),
        m("names of two columns swapped", lambda t: every("age", lambda v: str(200 + int(v)))(every("chol", lambda v: str(20 + int(v) % 70))(t)),
          r"WARNING.*places.*\n.*columns age and chol: the numbers of each are in the range of the other"),
        m("points where commas are said", said('{decimal: ","}', every("chol", lambda v: v + ".5")), at(2, "chol", "is csv: {decimal.*node.yaml")),
        m("months first where days are said", said("{dates: DMY}", every("admitted", lambda v: "%s/%s/%s" % (v[5:7], 28, v[:4]))),
          at(2, "admitted", r'"\d\d/28/20\d\d .*dates: MDY')),
        m("no UTF-16, as is said", said("{encoding: UTF-16}"), r"records\.csv:1: this is no UTF-16.*data\.csv\.encoding in node\.yaml"),
        m("a number taken for a date", cell(9, "chol", "05. Mrz"), at(9, "chol", "spreadsheet took it for a date")),
        m("a column too narrow", cell(9, "admitted", "#######"), at(9, "admitted", "too narrow")),
        m("letters encoded twice", cell(20, "ward", "s\u00c3\u00bcd"), at(20, "ward", "encoded twice")),
        m("a delimiter behind each record", lambda t: HEADER + "\n" + "".join(l + ",\n" for l in t.strip().split("\n")[1:]),
          r"records\.csv:2: 8 fields where 7 belong; the line ends with a delimiter, and the header does not"),
        m("cut in the last line", lambda t: t.rstrip("\n")[:-15], r"records\.csv:61: \d fields where 7 belong; the file ends within this line"),
        m("a cell lost, a delimiter at the end", line(9, lost_cell), r"records\.csv:9: from column age on (?!.*\n.*csv:9,)"),
        m("every line in quotes", lambda t: "".join('"%s"\n' % l for l in t.strip().split("\n")), r"records\.csv:1: the line as a whole stands in quotes"),
        m("encrypted", lambda t: "-----BEGIN PGP MESSAGE-----\n\nhQEMA0\n", r"records\.csv: .*encrypted \(PGP\); decrypt it"),
        m("a quote left open, and one lines behind it", lambda t: cell(5, "ward", '"south')(cell(9, "ward", '"south"')(t)),
          r"records\.csv:9: a quote inside a cell of the record that starts in line 5; .*not closed"),
        m("two versions not merged", lambda t: t.replace("p05,", "<<<<<<< HEAD\np05,", 1), r"records\.csv:12: .*Git.*merged"),
    ]


def sch(n, rest=""):
    return r"schema\.yaml:%d:\d+: .*%s" % (n, rest)


@kind("schema")
def schema():
    m = Mistake
    return [
        m("a kind mistyped", sub("kind: numeric", "kind: numerical"), sch(8, "numeric")),
        m("no kind", sub("    kind: numeric\n", ""), sch(7, "kind")),
        m("no range", sub("    range: [18, 100]\n", ""), sch(7, "range")),
        m("a range upside down", sub("[18, 100]", "[100, 18]"), sch(9, "")),
        m("a range of one end", sub("[18, 100]", "[18]"), sch(9, "two")),
        m("a range of three", sub("[18, 100]", "[18, 50, 100]"), sch(9, "two")),
        m("a range of words", sub("[18, 100]", "[young, old]"), sch(9, "number")),
        m("a range with a dash", sub("[18, 100]", "18-100"), sch(9, "range")),
        m("a decimal comma in a range", sub("[18, 100]", "[18,5, 100]"), sch(9, "two")),
        m("a key mistyped", sub("range:", "rnage:"), sch(9, "range")),
        m("a foreign key", sub("range: [18, 100]", "range: [18, 100]\n    unit: years"), sch(10, "unit")),
        m("values: one only", sub("[female, male]", "[female]"), sch(12, "two")),
        m("values: none", sub("    values: [female, male]\n", ""), sch(10, "values")),
        m("a value twice", sub("[female, male]", "[female, male, female]"), sch(12, "twice")),
        m("values as a text", sub("[female, male]", '"female, male"'), sch(12, "list")),
        m("a date the German way", sub("2000-01-01", "01.01.2000"), sch(15, "date")),
        m("a date that does not exist", sub("2030-12-31", "2030-12-32"), sch(15, "date")),
        m("outside mistyped", sub("outside: error", "outside: clipp"), sch(19, "clip")),
        m("outside of a category", sub("required: true", "outside: clip"), sch(23, "outside")),
        m("required: a word", sub("required: true", "required: always"), sch(23, "true")),
        m("required: yes", sub("required: true", "required: yes"), sch(23, "true")),
        m("no label", lambda t: t[: t.index("  - name: outcome")], r"schema\.yaml: .*label"),
        m("two labels", sub("kind: numeric\n    range: [18, 100]", "kind: label\n    negative: [a]\n    positive: [b]"),
          sch(25, "label")),
        m("no negative value", sub("    negative: [home]\n", ""), sch(24, "negative")),
        m("a value negative and positive", sub("[died]", "[home]"), sch(27, "home")),
        m("a column twice", sub("name: chol", "name: age"), sch(16, "twice")),
        m("a column without a name", sub("name: age\n    kind", "kind"), sch(7, "name")),
        m("another delimiter", sub('delimiter: ","', 'delimiter: ";"'), r"records\.csv:1: .*delimiter"),
        m("a delimiter of two characters", sub('delimiter: ","', 'delimiter: ", "'), sch(3, "delimiter")),
        m("header: false", sub("header: true", "header: false"), r"records\.csv:1: .*header"),
        m("a tab", sub("    kind: numeric", "\tkind: numeric"), sch(8, "tab")),
        m("an indent too deep", sub("    range: [18", "      range: [18"), sch(9, "")),
        m("an open bracket", sub("[female, male]", "[female, male"), r"schema\.yaml:1[0-9]:\d+: "),
        m("an open quote", sub("name: clinic", 'name: "clinic'), r"schema\.yaml:\d+:\d+: .*quote"),
        m("no colon", sub("kind: ignore", "kind ignore"), sch(6, "colon")),
        m("no space after the colon", sub("kind: ignore", "kind:ignore"), sch(6, "colon")),
        m("no dash", sub("  - name: age", "    name: age"), r"schema\.yaml:[78]:\d+: .*twice"),
        m("columns: a map", lambda t: t[: t.index("columns:")] + "columns: {age: numeric}\n", sch(4, "list")),
        m("no columns", lambda t: t[: t.index("columns:")], sch(1, "columns")),
        m("missing means a value", sub('"NA"]', "male]"), sch(10, "male")),
        m("a column that no file has", sub("name: chol", "name: cholesterol"), r"records\.csv:1, column cholesterol: "),
        m("an anchor", sub("name: clinic", "name: &c clinic"), sch(1, "anchor")),
        m("an empty file", lambda t: "", r"schema\.yaml"),
        m("a schema of texts", lambda t: "name: x\nsource: csv\ntext: sex\nunit: record\n", r"(schema\.yaml|node\.yaml)"),
        m("Latin-1", raw(lambda b: b.replace(b"clinic", b"Kr\xe4nke", 1)), r"schema\.yaml(:\d+:\d+)?: .*UTF-8"),
        m("a records file instead", lambda t: good_records(), r"schema\.yaml:\d+:\d+: "),
        m("a huge scale", sub("range: [18, 100]", "range: [18, 100]\n    scale: 0"), sch(10, "scale")),
        m("the file is not there", delete("schema.yaml"), r"schema\.yaml: "),
        m("a center outside", sub("    range: [18, 100]", "    range: [18, 100]\n    center: 500"), sch(10, "center.*outside of the range")),
        m("another word for a kind", sub("kind: numeric", "kind: integer"), sch(8, "did you mean numeric")),
        m("packed", raw(gzip.compress), sch(1, "gzip.*unpack")),
        m("a NUL byte", raw(lambda b: b.replace(b"clinic", b"cli\0nic", 1)), sch(1, "NUL")),
        m("a pipe that nobody writes to", in_place(os.mkfifo), r"schema\.yaml: is a named pipe"),
        m("a bullet for a dash", sub("  - name: sex", "  \u2022 name: sex"), sch(10, "'- '")),
        m("a no-break space in a name", sub("name: age", "name: age\u00a0"), r"records\.csv:1, column age.*no-break"),
        m("a space in a value", sub("[female, male]", '["female ", male]'), r"records\.csv:2, column sex: .*space at its"),
        m("a long dash in a group", sub("values: [north, south, east]\n", 'groups: {here: "1-9", there: "10\u201399"}\n'),
          sch(22, "dash in \"10\u201399\".*U\\+002D")),
        m("a range of codes turned round", sub("values: [north, south, east]\n", 'groups: {here: "I25-I20", there: "2"}\n'),
          sch(22, "ends before it begins; turn it round")),
        m("no colon in an entry", sub("- name: age", "- name age"), sch(7, "colon and a space")),
        m("no dash before an entry", sub("- name: sex", "  name: sex"), sch(10, "'name' is given twice, first in line 7; is the '- ' missing")),
        m("a value encoded twice", sub("south", "s\u00c3\u00bcd"), sch(22, "encoded twice")),
        m("a required key mistyped", sub("kind: numeric", "knd: numeric"), sch(8, "'kind' is missing.*'knd'")),
        m("decimal commas at both ends", sub("[18, 100]", "[18,5, 99,5]"), sch(9, "decimals with a point")),
        m("a day that does not exist", sub("2030-12-31", "2030-11-31"), sch(15, "no such day")),
        m("no space after the colon of an entry", sub("- name: age", "- name:age"), sch(7, "colon and a space")),
        m("cut in a word", lambda t: t[: t.index("outside: error") + 11],
          sch(19, "copied whole")),
        m("cut in brackets", lambda t: t[: t.index("male]")], sch(12, r"ends inside the \[")),
        m("an Excel workbook", raw(lambda b: b"PK\x03\x04\x14\0\6\0xl/workbook.xml" + b), sch(1, "Excel workbook; name the file")),
        m("node.yaml in its place", lambda t: NODE.format(door="tcp://a:1", key="x" * 40), sch(2, "'aggregator' is a key of a node's")),
        m("a JSON Schema", lambda t: '{"$schema": "http://x", "type": "object", "properties": {}}\n', sch(1, "JSON Schema")),
        m("a resource of FHIR", lambda t: '{"resourceType": "Patient", "id": "a", "name": []}\n', sch(1, "FHIR")),
        m("a Cyrillic letter in a kind", sub("kind: numeric", "kind: num\u0435ric"), sch(8, r"U\+0435.*Cyrillic")),
        m("a comment in brackets", sub("[female, male]", "[female, #male]"), sch(13, "bracket")),
    ]


def nod(n, rest=""):
    return r"node\.yaml:%d:\d+: .*%s" % (n, rest)


@kind("node")
def node():
    m = Mistake
    return [
        m("each row a unit, in capitals", sub("unit: patient", "unit: Record"), r"column Record: .*policy\.unit in node\.yaml.*unit: record"),
        m("a key mistyped", sub("ledger: ledger", "leger: ledger"), nod(10, "ledger")),
        m("a foreign key", lambda t: t + "colour: blue\n", nod(23, "colour")),
        m("no name", sub("name: northgate\n", ""), nod(1, "name")),
        m("another institution's name", sub("name: northgate", "name: lakeside"), r"node\.yaml.*northgate"),
        m("a name with a space", sub("name: northgate", "name: North Gate"), nod(1, "name")),
        m("no door", lambda t: re.sub(r'  door: .*\n', "", t, count=1), nod(3, "door")),
        m("a door without tcp", lambda t: re.sub(r'"tcp://', '"', t, count=1), nod(3, "tcp://")),
        m("a door of http", lambda t: re.sub(r'"tcp://', '"https://', t, count=1), nod(3, "tcp://")),
        m("a door without port", lambda t: re.sub(r'(door: "tcp://[^:]*):\d+', r"\1", t, count=1), nod(3, "tcp://")),
        m("a port of letters", lambda t: re.sub(r'(door: "tcp://[^:]*):\d+', r"\1:door", t, count=1), nod(3, "")),
        m("a port too large", lambda t: re.sub(r'(door: "tcp://[^:]*):\d+', r"\1:73000", t, count=1), nod(3, "")),
        m("a door key cut short", lambda t: re.sub(r'(door_key: ".{20})[^\n]*', r'\1"', t), nod(4, "40")),
        m("a door key that is none", lambda t: re.sub(r'door_key: .*', 'door_key: "' + "~" * 40 + '"', t), nod(4, "")),
        m("a key without quotes", lambda t: re.sub(r'door_key: .*', "door_key: abc #def", t), nod(4, "40")),
        m("no identity there", sub("identity: identity", "identity: identitty"), r"identitty"),
        m("no data", lambda t: re.sub(r"data:\n(  .*\n){3}", "", t), nod(1, "data")),
        m("no data name", sub('  name: "northgate"\n', ""), r"node\.yaml:[67]:\d+: .*name"),
        m("records that are not there", sub("records: records.csv", "records: record.csv"), r"record\.csv is not there"),
        m("records: a folder", sub("records: records.csv", "records: identity"), r"identity.*(folder|directory)"),
        m("records: a foreign key", sub("records: records.csv", "records: {sqllite: x.db, query: SELECT 1}"), nod(8, "sqlite")),
        m("csv: a key mistyped", sub("records: records.csv", 'records: records.csv\n  csv: {decimel: ","}'), nod(9, "decimal")),
        m("csv: an encoding mistyped", sub("records: records.csv", "records: records.csv\n  csv: {encoding: window-1252}"), nod(9, "windows-1252")),
        m("csv: two marks that are one", sub("records: records.csv", 'records: records.csv\n  csv: {decimal: ",", thousands: ","}'), nod(9, "both")),
        m("csv of a query", sub("records: records.csv", 'records: {sqlite: x.db, query: SELECT 1}\n  csv: {decimal: ","}'), nod(9, "query")),
        m("records without a query", sub("records: records.csv", "records: {sqlite: x.db}"), nod(8, "query")),
        m("a schema that is not there", sub("schema: schema.yaml", "schema: shema.yaml"), r"shema\.yaml: "),
        m("epsilon: a word", sub("epsilon: 1", "epsilon: one"), nod(13, "number")),
        m("epsilon: zero", sub("epsilon: 1", "epsilon: 0"), nod(13, "epsilon")),
        m("epsilon below zero", sub("epsilon: 1", "epsilon: -1"), nod(13, "epsilon")),
        m("epsilon: a million", sub("epsilon: 1", "epsilon: 1000000"), nod(13, "1000")),
        m("a decimal comma", sub("epsilon: 1", "epsilon: 0,5"), nod(13, "number")),
        m("delta above one", sub("delta: 0.0001", "delta: 10"), nod(14, "delta")),
        m("delta: a percentage", sub("delta: 0.0001", "delta: 1%"), nod(14, "number")),
        m("no delta", sub("  delta: 0.0001\n", ""), nod(13, "delta")),
        m("purposes: a text", sub('purposes:\n    - "heart disease risk"', "purposes: heart"), nod(15, "list")),
        m("no purposes", sub('  purposes:\n    - "heart disease risk"\n', ""), nod(13, "purposes")),
        m("an empty purpose", sub('- "heart disease risk"', '- ""'), nod(16, "")),
        m("a unit that no file has", sub("unit: patient", "unit: patients"), r"records\.csv:1, column patients: .*\"patient\""),
        m("a task mistyped", sub("[training]", "[trainning]"), nod(18, "training")),
        m("tasks: a text", sub("[training]", "training"), nod(18, "list")),
        m("a cohort of one", sub("min_cohort: 3", "min_cohort: 1"), nod(19, "2")),
        m("half a node", sub("min_cohort: 3", "min_cohort: 2.5"), nod(19, "")),
        m("masks mistyped", sub("masks: sparse", "masks: sparce"), nod(21, "sparse")),
        m("max_rows too small", sub("max_rows: 100000", "max_rows: 10"), r"60 records; policy\.max_rows allows 10"),
        m("max_rows with a mark", sub("max_rows: 100000", "max_rows: 100,000"), nod(22, "")),
        m("threads: a thousand", sub("threads: 2", "threads: 1000"), nod(11, "64")),
        m("a tab", sub("  epsilon", "\tepsilon"), nod(13, "tab")),
        m("a wrong indent", sub("  delta: 0.0001", "   delta: 0.0001"), nod(14, "")),
        m("a key twice", sub("  delta: 0.0001", "  delta: 0.0001\n  delta: 0.001"), nod(15, "twice|again|already")),
        m("no colon", sub("ledger: ledger.db", "ledger ledger.db"), r"node\.yaml:1[01]:\d+: "),
        m("an empty file", lambda t: "", r"node\.yaml"),
        m("JSON", lambda t: '{"name": "northgate"}', r"node\.yaml:1:\d+: "),
        m("Windows line ends", raw(lambda b: b.replace(b"\n", b"\r\n")), r"ok +records", True),
        m("a path of Windows'", sub("ledger: ledger.db", 'ledger: "C:\\Users\\x.db"'), nod(10, "backslash")),
        m("a word processor's quotes", sub('- "heart disease risk"', "- \u201cheart disease risk\u201d"), nod(16, "word processor")),
        m("a comment in the place of a text", sub("ledger: ledger.db", "ledger: #ledger.db"), nod(10, "needs quotes")),
        m("the identity a file", sub("identity: identity", "identity: node.yaml"), nod(5, "identity.*folder")),
        m("the ledger a folder", sub("ledger: ledger.db", 'ledger: "."'), nod(10, "ledger.*folder")),
        m("the ledger in no folder", sub("ledger: ledger.db", "ledger: no/where/l.db"), r"ledger .*no/where/l\.db: .*the folder is not there"),
        m("the ledger the records", sub("ledger: ledger.db", "ledger: records.csv"), nod(10, "ledger.*records")),
        m("the schema the records", sub("schema: schema.yaml", "schema: records.csv"), nod(9, "schema")),
        m("a query file that is not there", sub("records: records.csv", "records: {sqlite: a.db, query_file: q.sql}"), nod(8, "query_file.*q.sql")),
        m("packed", raw(gzip.compress), nod(1, "gzip.*unpack")),
        m("a NUL byte", raw(lambda b: b.replace(b"name", b"na\0me", 1)), nod(1, "NUL")),
        m("an unfinished merge", lambda t: t.replace("  delta", "<<<<<<< HEAD\n  delta", 1), nod(14, "merged")),
        m("a no-break space for an indent", sub("  door:", "\u00a0 door:"), nod(3, "no-break")),
        m("an equals sign", sub("epsilon: 1", "epsilon = 1"), nod(13, "colon")),
        m("a policy whose lines are not indented", lambda t: t[: t.index("policy:")] + t[t.index("policy:"):].replace("\n  ", "\n"),
          r"node\.yaml:\d+:1: unknown key .*'policy' in line \d+ has nothing in it"),
        m("a key that begins with !", lambda t: re.sub(r'door_key: .*', "door_key: !ab{c", t), nod(4, "begins with ! needs quotes")),
        m("a key that begins with >", lambda t: re.sub(r'door_key: .*', "door_key: >ab{c", t), nod(4, "begins with > .*needs quotes")),
        m("a key that begins with |", lambda t: re.sub(r'door_key: .*', "door_key: |ab{c", t), nod(4, r"\| needs quotes")),
        m("a key that begins with {", lambda t: re.sub(r'door_key: .*', "door_key: {ab!c", t), nod(4, "begins with { needs quotes")),
        m("a key that begins with *", lambda t: re.sub(r'door_key: .*', "door_key: *abc", t), nod(4, r"with & or \* needs quotes")),
        m("a key that begins with &", lambda t: re.sub(r'door_key: .*', "door_key: &ab{c", t), nod(4, "& needs quotes")),
        m("an ellipsis in a key", lambda t: re.sub(r'(door_key: ".{20})[^\n]*', '\\1\u2026"', t), nod(4, r"this has 21; .*U\+2026")),
        m("a quote of the line above open", lambda t: re.sub(r'(door: "tcp://[^"]*)"', r"\1", t, count=1), nod(3, "quote")),
        m("federation.yaml in its place", lambda t: FEDERATION, nod(3, "'listen' is a key of a federation's")),
        m("the key is lost", delete("identity/identity.key"), r"identity\.key: .*backup.*invite you again"),
        m("a home of a shell's", sub("records: records.csv", "records: ~/records.csv"), nod(8, "write the path out")),
        m("a variable of a shell's", sub("ledger: ledger.db", "ledger: ${HOME}/ledger.db"), nod(10, "write the path out")),
        m("a comment in a path", sub("records: records.csv", "records: record #1.csv"), r"record is not there.* ' #' needs quotes"),
        m("a minus of mathematics", sub("delta: 0.0001", "delta: 1e\u22124"), nod(14, r"U\+2212")),
        m("a zero-width space in a number", sub("epsilon: 1", "epsilon: 1\u200b"), nod(13, r"U\+200B")),
        m("nothing but NUL bytes", raw(lambda b: b"\0" * len(b)), nod(1, "nothing but NUL bytes.*backup")),
        m("comments, a path with a dollar sign", lambda t: t.replace("records.csv", "records.csv #all of them").replace("ledger.db", "a$b.db  # new"),
          r"ok +records", True),
        m("no number", sub("epsilon: 1", "epsilon:"), nod(13, "behind the colon")),
        m("an endless budget", sub("epsilon: 1", "epsilon: .inf"), nod(13, "finite")),
        m("the file is not there", delete("node.yaml"), r"node\.yaml: "),
    ]


def fed(n, rest=""):
    return r"federation\.yaml:%d:\d+: .*%s" % (n, rest)


@kind("federation")
def federation():
    m = Mistake
    return [
        m("a key mistyped", sub("purpose:", "purpos:"), fed(2, "purpose")),
        m("a foreign key", lambda t: t + "colour: blue\n", fed(22, "colour")),
        m("no name", sub("name: heart-demo\n", ""), fed(1, "name")),
        m("a name with a space", sub("heart-demo", "Heart Demo"), fed(1, "name")),
        m("no purpose", sub("purpose: heart disease risk\n", ""), fed(1, "purpose")),
        m("an empty purpose", sub("purpose: heart disease risk", 'purpose: ""'), fed(2, "purpose")),
        m("no door", sub('  door: "tcp://127.0.0.1:56747"\n', ""), fed(3, "")),
        m("a door without tcp", sub("tcp://127", "127"), fed(4, "tcp://")),
        m("a door without port", sub(":56747", ""), fed(4, "tcp://")),
        m("a port too large", sub(":56747", ":567470"), fed(4, "")),
        m("no model", sub("model: model.safetensors\n", ""), fed(1, "model")),
        m("a model that is not there", sub("model.safetensors", "modell.safetensors"), fed(5, "modell\\.safetensors' is not there")),
        m("a model that is none", sub("model.safetensors", "federation.yaml"), fed(5, "rename")),
        m("epsilon: a word", sub("epsilon: 1", "epsilon: small"), fed(8, "number")),
        m("epsilon: zero", sub("epsilon: 1", "epsilon: 0"), fed(8, "epsilon")),
        m("epsilon below zero", sub("epsilon: 1", "epsilon: -2"), fed(8, "epsilon")),
        m("a decimal comma", sub("epsilon: 1", "epsilon: 0,5"), fed(8, "number")),
        m("delta above one", sub("delta: 0.0001", "delta: 1.5"), fed(9, "delta")),
        m("no delta", sub("  delta: 0.0001\n", ""), fed(7, "delta")),
        m("delta: a percentage", sub("delta: 0.0001", "delta: 0.01%"), fed(9, "number")),
        m("no expected_units", sub("  expected_units: 610\n", ""), fed(7, "expected_units")),
        m("units: a word", sub("610", "many"), fed(10, "")),
        m("units with a mark", sub("610", "1,610"), fed(10, "")),
        m("max_units below the expected", sub("1220", "100"), fed(11, "units")),
        m("a unit with a slash", sub("unit: record", "unit: [record]"), fed(7, "unit")),
        m("nodes: zero", sub("nodes: 4", "nodes: 0"), fed(13, "nodes")),
        m("one node", sub("nodes: 4", "nodes: 1"), fed(13, "nodes")),
        m("min above nodes", sub("min: 3", "min: 9"), fed(14, "min")),
        m("a quorum above nodes", sub("quorum: 3", "quorum: 9"), fed(15, "quorum")),
        m("a quorum of one", sub("quorum: 3", "quorum: 1"), fed(15, "quorum")),
        m("all collude", sub("colluders: 1", "colluders: 4"), fed(16, "collu")),
        m("colluders below zero", sub("colluders: 1", "colluders: -1"), fed(16, "colluders")),
        m("no rounds", sub("rounds: 4", "rounds: 0"), fed(18, "rounds")),
        m("rounds: a word", sub("rounds: 4", "rounds: four"), fed(18, "rounds|number")),
        m("a training key mistyped", sub("rounds: 4", "round: 4"), fed(18, "rounds")),
        m("no timeouts", lambda t: t[: t.index("timeouts:")], r"ok|Every node", True),
        m("a timeout of zero", sub("round_s: 10", "round_s: 0"), fed(21, "round_s")),
        m("a timeout with a unit", sub("round_s: 10", "round_s: 10s"), fed(21, "")),
        m("a task mistyped", sub("purpose: heart", "task: statistic\npurpose: heart"), fed(2, "statistics")),
        m("a query for training", sub("purpose: heart", "query: q.yaml\npurpose: heart"), fed(2, "query")),
        m("a tab", sub("  epsilon", "\tepsilon"), fed(8, "tab")),
        m("a wrong indent", sub("  delta: 0.0001", "   delta: 0.0001"), fed(9, "")),
        m("a key twice", sub("  delta: 0.0001", "  delta: 0.0001\n  delta: 0.001"), fed(10, "twice|again|already")),
        m("no colon", sub("purpose: heart disease risk", "purpose heart disease risk"), r"federation\.yaml:[23]:\d+: "),
        m("an open quote", sub('56747"', "56747"), r"federation\.yaml:\d+:\d+: .*quote"),
        m("a list for a map", sub("cohort:\n  nodes: 4", "cohort:\n  - nodes: 4"), fed(14, "list")),
        m("an empty file", lambda t: "", r"federation\.yaml"),
        m("Latin-1", raw(lambda b: b.replace(b"heart disease", b"Herzschw\xe4che", 1)), r"federation\.yaml(:\d+:\d+)?: .*UTF-8"),
        m("a key of node.yaml", lambda t: t + "policy: {epsilon: 1}\n", fed(22, "policy")),
        m("node.yaml in its place", lambda t: NODE.format(door="tcp://a:1", key="x" * 40), fed(2, "'aggregator' is a key of a node's")),
        m("the schema in its place", lambda t: SCHEMA, fed(4, "'columns' is a key of a schema")),
        m("cut in braces", lambda t: t[: t.index("cohort:")] + "cohort: {nodes: 4, min:\n", fed(12, "ends inside the {")),
        m("a query without its task", lambda t: t + "query: q.yaml\n", fed(22, "task: statistics")),
        m("a Cyrillic letter in a key", sub("  epsilon", "  \u0435psilon"), fed(8, r"'epsilon'.*U\+0435")),
        m("the file is not there", delete("federation.yaml"), r"federation\.yaml: "),
    ]


@kind("code")
def code():
    m = Mistake
    some = lambda f: (lambda t: f(t.strip()))

    def put(i, c):
        return some(lambda t: t[:i] + (c if t[i] != c else "x") + t[i + 1:])
    bad = r"join code.*(mistyped|cut)"
    cases = [m("character %d mistyped" % i, put(i, "q"), bad) for i in (8, 20, 33, 57, 91, 120, 150, 180)]
    cases += [m("character %d left out" % i, some(lambda t, i=i: t[:i] + t[i + 1:]), bad) for i in (9, 44, 99, 160)]
    cases += [m("characters %d and the next swapped" % i, (lambda t, i=i: swapped(t.strip(), i)), bad) for i in (10, 50, 101, 171)]
    cases += [m("cut after %d" % i, some(lambda t, i=i: t[:i]), bad) for i in (8, 40, 100, 200)]
    cases += [
        m("a character twice", some(lambda t: t[:50] + t[50] + t[50:]), bad),
        m("the beginning cut off", some(lambda t: t[10:]), r"begins with fedmoe1"),
        m("the first character cut off", some(lambda t: t[1:]), r"begins with fedmoe1"),
        m("a future form", some(lambda t: "fedmoe2" + t[7:]), r"begins with fedmoe1"),
        m("a hyphen within", some(lambda t: t[:60] + "-" + t[60:]), r"nothing listens"),
        m("l for 1", some(lambda t: "fedmoel" + t[7:]), r"join code"),
        m("digits that no code has", put(70, "0"), bad),
        m("the letter O for a digit", put(71, "1"), bad),
        m("an umlaut", put(72, "ä"), bad),
        m("twice in one line", some(lambda t: t + t), bad),
        m("two codes", some(lambda t: t + "\n\n" + t), r"nothing listens"),
        m("an address instead", some(lambda t: "tcp://agg.example.org:7300"), r"begins with fedmoe1"),
        m("a door key instead", some(lambda t: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"), r"begins with fedmoe1"),
        m("nothing", some(lambda t: ""), r"join code"),
        m("spaces alone", some(lambda t: "   \n  "), r"join code"),
        m("a word", some(lambda t: "hello"), r"begins with fedmoe1"),
        m("a file's name", some(lambda t: "code.txt"), r"begins with fedmoe1"),
        m("quotes around", some(lambda t: '"' + t + '"'), r"nothing listens"),
        m("angle brackets around", some(lambda t: "<" + t + ">"), r"nothing listens"),
        m("capitals", some(lambda t: t.upper()), r"nothing listens"),
        m("a full stop behind", some(lambda t: t + "."), r"nothing listens"),
        m("a dash of a mail's line break", some(lambda t: t[:60] + "=\n" + t[60:]), r"nothing listens"),
        m("a quoted mail", some(lambda t: "> " + t[:60] + "\n> " + t[60:]), r"nothing listens"),
        m("binary", raw(lambda b: bytes(range(1, 255))), r"join code"),
        m("a megabyte", some(lambda t: "a" * 1000000), r"join code"),
        m("the right code, of an aggregator that is not running", some(lambda t: t), r"nothing listens at tcp://127\.0\.0\.1:\d+"),
    ]
    return cases


def swapped(t, i):
    while t[i] == t[i + 1]:
        i += 1
    return t[:i] + t[i + 1] + t[i] + t[i + 2:]


def header(change):
    """Changes the JSON header of a safetensors file."""
    def f(b):
        n = struct.unpack("<Q", b[:8])[0]
        o = json.loads(b[8:8 + n])
        change(o)
        text = json.dumps(o).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text + b[8 + n:]
    return raw(f)


def tensor(o):
    return next(k for k in o if k != "__metadata__")


@kind("model")
def model():
    m = Mistake
    here = r"model\.safetensors"

    def first(f):
        return header(lambda o: f(o, o[tensor(o)]))

    def meta(f):
        return header(lambda o: f(o["__metadata__"]))

    def set_(key, value):
        return meta(lambda x: x.__setitem__(key, value))
    return [
        m("cut by one byte", raw(lambda b: b[:-1]), here + ".*"),
        m("cut in half", raw(lambda b: b[: len(b) // 2]), here),
        m("cut in the header", raw(lambda b: b[:200]), here),
        m("seven bytes", raw(lambda b: b[:7]), here),
        m("an empty file", raw(lambda b: b""), here),
        m("a byte more", raw(lambda b: b + b"x"), here),
        m("a line end more", raw(lambda b: b + b"\n"), here),
        m("a text editor's line ends", raw(lambda b: b.replace(b"\n", b"\r\n") if b"\n" in b else b"\r\n" + b), here),
        m("a byte order mark", raw(lambda b: b"\xef\xbb\xbf" + b), here),
        m("gzip", raw(lambda b: gzip.compress(b)), here),
        m("base64", raw(lambda b: base64.b64encode(b)), here),
        m("zip (PyTorch's)", raw(lambda b: b"PK\x03\x04\x14\0\6\0xl/workbook.xml" + b), here + ".*"),
        m("a pickle", raw(lambda b: b"\x80\x04\x95" + b), here),
        m("a GGUF file", raw(lambda b: b"GGUF\x03\0\0\0" + b[8:]), here),
        m("a CSV file", raw(lambda b: good_records().encode()), here),
        m("a YAML file", raw(lambda b: SCHEMA.encode()), here),
        m("a web page", raw(lambda b: b"<!DOCTYPE html><html><body>login</body></html>"), here),
        m("a pointer of Git LFS", raw(lambda b: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"), here + ".*LFS"),
        m("zeros", raw(lambda b: b"\0" * len(b)), here),
        m("a header length beyond the file", raw(lambda b: struct.pack("<Q", 1 << 40) + b[8:]), here),
        m("a header length of nothing", raw(lambda b: struct.pack("<Q", 0) + b[8:]), here),
        m("a header that is no JSON", raw(lambda b: b[:8] + b"[" + b[9:]), here),
        m("a header cut", raw(lambda b: struct.pack("<Q", struct.unpack("<Q", b[:8])[0] - 9) + b[8:]), here),
        m("no metadata", header(lambda o: o.pop("__metadata__")), here),
        m("no schema in it", meta(lambda x: [x.pop(k) for k in list(x) if "schema" in k]), here + ".*schema"),
        m("no model description in it", meta(lambda x: [x.pop(k) for k in list(x) if "schema" not in k and "card" not in k]), here),
        m("a schema that is none", meta(lambda x: [x.__setitem__(k, "columns: 3\n") for k in list(x) if "schema" in k]), here),
        m("a schema with a column less", meta(lambda x: [x.__setitem__(k, re.sub(r"  - name: thal\n(    .*\n)*", "", x[k])) for k in list(x) if "schema" in k]), here),
        m("a model description that is none", meta(lambda x: [x.__setitem__(k, "blocks: none\n") for k in list(x) if "schema" not in k and "card" not in k]), here),
        m("a tensor is not there", header(lambda o: o.pop(tensor(o))), here),
        m("a tensor of another name", header(lambda o: o.__setitem__("w", o.pop(tensor(o)))), here),
        m("a tensor of another type", first(lambda o, t: t.__setitem__("dtype", "F64")), here),
        m("a type that there is not", first(lambda o, t: t.__setitem__("dtype", "F99")), here + ".*F99"),
        m("another shape", first(lambda o, t: t.__setitem__("shape", [1, 2, 3])), here),
        m("a shape below zero", first(lambda o, t: t.__setitem__("shape", [-1])), here),
        m("no shape", first(lambda o, t: t.pop("shape")), here + ".*shape"),
        m("offsets beyond the file", first(lambda o, t: t.__setitem__("data_offsets", [0, 1 << 50])), here),
        m("offsets upside down", first(lambda o, t: t["data_offsets"].reverse()), here),
        m("offsets as text", first(lambda o, t: t.__setitem__("data_offsets", "0-4")), here),
        m("one NaN", raw(lambda b: b[:-4] + struct.pack("<f", float("nan"))), here),
        m("one infinity", raw(lambda b: b[:-4] + struct.pack("<f", float("inf"))), here),
        m("a tensor as a number", header(lambda o: o.__setitem__(tensor(o), 7)), here),
        m("the file is not there", delete("model.safetensors"), here),
    ]


def dic(n, column=None, rest=""):
    return r"dictionary\.csv:%d%s: .*%s" % (n, ", column " + column if column else "", rest)


@kind("dictionary")
def dictionary():
    m = Mistake
    red = {"base": REDCAP}
    return [
        m("no name column", sub("name,type", "variable,type"), dic(1, "name", "header")),
        m("a header mistyped", sub("type,min", "tpye,min"), dic(1, "type", "tpye")),
        m("no header", lambda t: t.split("\n", 1)[1], dic(1, "name")),
        m("a header twice", sub("min,max", "min,min"), dic(1, "min", "twice")),
        m("a type mistyped", sub("age,integer", "age,interger"), dic(3, "type", "integer")),
        m("a type that there is not", sub("age,integer", "age,complex"), dic(3, "type", "complex")),
        m("no type", sub("age,integer", "age,"), dic(3, "type", "empty")),
        m("no name", sub("age,integer", ",integer"), dic(3, "name", "empty")),
        m("a name twice", sub("chol,number", "age,number"), dic(6, "name", "twice")),
        m("a min of a word", sub("18,100", "adult,100"), dic(3, "min", "adult")),
        m("a max of a word", sub("18,100", "18,old"), dic(3, "max", "old")),
        m("a max below the min", sub("18,100", "100,18"), dic(3, "max", "above")),
        m("a max like the min", sub("18,100", "18,18"), dic(3, "max", "above")),
        m("a min alone", sub("18,100", "18,"), dic(3, "max", "empty")),
        m("a max alone", sub("18,100", ",100"), dic(3, "min", "empty")),
        m("a decimal comma", sub("18,100", '"18,5",100'), dic(3, "min", "number")),
        m("a unit in a number", sub("18,100", "18y,100"), dic(3, "min", "18y")),
        m("a date the German way", sub("2000-01-01", "01.01.2000"), dic(5, "min", "YYYY")),
        m("a date that does not exist", sub("2030-12-31", "2030-13-31"), dic(5, "max", "date")),
        m("a range of dates upside down", sub("2000-01-01,2030-12-31", "2030-12-31,2000-01-01"), dic(5, "max", "above")),
        m("a category without categories", sub("female=F; male=M", ""), dic(4, "categories", "empty")),
        m("one category", sub("female=F; male=M", "female=F"), dic(4, "categories", "one")),
        m("a category twice", sub("female=F; male=M", "female=F; female=M"), dic(4, "categories", "twice")),
        m("an empty category", sub("female=F; male=M", "female=F; =M"), dic(4, "categories", "empty")),
        m("a label without values", sub("home=alive; died=dead", ""), dic(8, "categories", "empty")),
        m("commas without quotes", sub("north|south|east", "north,south,east"), dic(7, None, "10 fields where 8")),
        m("a field too few", sub(",Ward,", ",Ward"), dic(7, None, "7 fields where 8")),
        m("a comma in a description", sub("at admission", "at admission, in years"), dic(3, None, "9 fields where 8")),
        m("an open quote", sub("at admission", '"at admission'), dic(3, None, "quote")),
        m("a quote inside", sub("at admission", 'at "the" admission'), dic(3, None, "quote")),
        m("a NUL byte", raw(lambda b: b.replace(b"years", b"y\0ars", 1)), dic(3, None, "NUL")),
        m("UTF-16", raw(lambda b: b"\xff\xfe" + b.decode().encode("utf-16-le")), r"dictionary\.csv: .*UTF-16"),
        m("Latin-1", raw(lambda b: b.replace(b"chol,", b"ch\xf6l,", 1)), dic(6, "name", "UTF-8")),
        m("an Excel workbook", raw(lambda b: b"PK\x03\x04\x14\0\6\0xl/workbook.xml" + b), r"dictionary\.csv: .*Excel"),
        m("a PDF", raw(lambda b: b"%PDF-1.7\n"), r"dictionary\.csv: .*PDF"),
        m("an empty file", raw(lambda b: b""), r"dictionary\.csv: "),
        m("a header alone", lambda t: t.split("\n")[0] + "\n", r"dictionary\.csv: .*no line behind it"),
        m("nothing that can be read", lambda t: "\n".join(t.split("\n")[:2]) + "\n", r"--label: .*outcome"),
        m("semicolons", lambda t: t.replace("; ", "|").replace(",", ";"), r"kind: label", True),
        m("columns in another order", lambda t: "".join(",".join(reversed(l.split(","))) + "\n" for l in t.rstrip("\n").split("\n")), r"kind: label", True),
        m("REDCap's own", lambda t: t, r"kind: categorical", True, red),
        m("REDCap: no choices", sub('"female, Female | male, Male"', ""), dic(4, "Choices.*", "empty"), extra=red),
        m("REDCap: a choice twice", sub("female, Female | male, Male", "female, Female | female, Male"), dic(4, "Choices.*", "twice"), extra=red),
        m("REDCap: a min of a word", sub("18,100", "young,100"), dic(3, "Text Validation Min", "young"), extra=red),
        m("REDCap: a field type mistyped", sub("radio,Sex", "radioo,Sex"), dic(4, "Field Type", "radio"), extra=red),
        m("an unfinished merge", lambda t: t.replace("chol,number", "<<<<<<< HEAD\nchol,number", 1), dic(6, None, "merged")),
        m("a category without its code", sub("female=F; male=M", "female=F; male"), dic(4, "categories", '"male" has no code')),
        m("REDCap: no comma behind the code", sub("female, Female", "female Female"), dic(4, "Choices.*", "has no code.*1, yes"), extra=red),
        m("colons between the fields", lambda t: t.replace(",", ":"), dic(1, None, "colons separate")),
        m("a min that is not known", sub("18,100", "n/a,n/a"), dic(3, "min", "leave min and max empty")),
        m("the header again", lambda t: t + t.split("\n")[0] + "\n", dic(9, "name", "header stands here again")),
        m("a second label", sub("ward,category", "ward,label"), r"column ward \(.*line 7\) is of type label, too", True),
        m("two delimiters", line(1, lambda l: l.replace(",", ";")), dic(2, None, "commas separate .* semicolons")),
        m("REDCap: a name that it has not", sub("age,", "Age at adm,"), dic(3, "Variable / Field Name", "Age at adm.*no name of REDCap"),
          extra=red),
        m("REDCap: no field names", sub("Variable / Field Name", "Variable"), dic(1, "Variable / Field Name", "header"), extra=red),
        m("a pipe that nobody writes to", in_place(os.mkfifo), r"dictionary\.csv: is a named pipe"),
        m("a folder", in_place(os.mkdir), r"dictionary\.csv: is a folder"),
        m("Latin-1 in a description", raw(lambda b: b.replace(b"at admission", b"Aufn\xe4hme", 1)), dic(3, "description", "UTF-8")),
        m("5000 columns", lambda t: t + "".join("x%d,number,0,1,,,,\n" % i for i in range(5000)), dic(4098, "name", "4096")),
        m("5000 categories", sub("female=F; male=M", ";".join("v%d" % i for i in range(5000))), dic(4, "categories", "4096")),
        m("min mistyped in the header", sub("type,min", "type,minn"), dic(1, "min", '"minn"')),
        m("a no-break space in a name", sub("age,integer", "age\u00a0,integer"), dic(3, "name", "no-break")),
        m("a value and its meaning by a colon", sub("female=F; male=M", "female:F; male:M"), dic(4, "categories", "equals sign")),
        m("too large a number", sub("18,100", "18,1e400"), dic(3, "max", "too large")),
        m("a range in one cell", sub("18,100", "18-100,"), dic(3, "min", "two numbers")),
        m("two labels", sub("ward,category", "ward,label"), r"outcome", True),
        m("the label in another case", sub("outcome,label", "Outcome,label"), r"did you mean Outcome"),
        m("records in its place", lambda t: good_records(), dic(1, "name", "is this a data dictionary")),
        m("REDCap: a validation mistyped", sub(",integer,18", ",intger,18"), dic(3, "Text Validation Type.*", "integer"), extra=red),
        m("the label is not there", lambda t: "".join(l + "\n" for l in t.rstrip("\n").split("\n") if not l.startswith("outcome")), r"--label: .*outcome"),
        m("the file is not there", delete("dictionary.csv"), r"dictionary\.csv"),
    ]


def note(n, rest=""):
    return r"notes\.ndjson:%d[:,] .*%s" % (n, rest)


@kind("notes")
def notes():
    m = Mistake

    def obj(n, f):
        def g(l):
            o = json.loads(l)
            return json.dumps(f(o) or o)
        return line(n, g)
    return [
        m("an open brace", line(5, lambda l: l[:-1]), note(5)),
        m("no opening brace", line(5, lambda l: l[1:]), note(5)),
        m("an open string", line(5, lambda l: l[:20]), note(5)),
        m("a comma at the end", line(5, lambda l: l[:-1] + ",}"), note(5)),
        m("a comma behind the object", line(5, lambda l: l + ","), note(5)),
        m("no comma", line(5, lambda l: l.replace(", ", " ", 1)), note(5)),
        m("no colon", line(5, lambda l: l.replace(": ", " ", 1)), note(5)),
        m("single quotes", line(5, lambda l: l.replace('"', "'")), note(5)),
        m("keys without quotes", line(5, lambda l: l.replace('"who"', "who")), note(5)),
        m("two objects in a line", lambda t: t.replace("}\n{", "} {", 1), note(1)),
        m("an array of all", lambda t: "[" + t.replace("\n", ",\n")[:-2] + "]", note(1)),
        m("pretty-printed", lambda t: "".join(json.dumps(json.loads(l), indent=1) + "\n" for l in t.strip().split("\n")), note(1)),
        m("a comment", lambda t: "// notes\n" + t, note(1)),
        m("a header of CSV", lambda t: "who,note\n" + t, note(1)),
        m("Python's None", line(5, lambda l: l.replace('"p2"', "None")), note(5)),
        m("NaN", line(5, lambda l: l.replace('"p2"', "NaN")), note(5)),
        m("a number for an object", line(5, lambda l: "17"), note(5)),
        m("a text for an object", line(5, lambda l: '"pain"'), note(5)),
        m("null for an object", line(5, lambda l: "null"), note(5)),
        m("no text", obj(5, lambda o: o.pop("note") and None), note(5, "note")),
        m("no text within", obj(5, lambda o: o["note"].pop("text") and None), note(5, "note.text")),
        m("a text of null", obj(5, lambda o: o["note"].update(text=None)), r"1 of them empty", True),
        m("a text that is a number", obj(5, lambda o: o["note"].update(text=7)), r"20 documents", True),
        m("a text that is a list", obj(5, lambda o: o["note"].update(text=["a", "b"])), note(5, "note.text")),
        m("a note that is a text", obj(5, lambda o: o.update(note="pain")), note(5, "note")),
        m("another case", line(5, lambda l: l.replace('"note"', '"Note"')), note(5, "note")),
        m("a key mistyped", line(5, lambda l: l.replace('"text"', '"txet"')), note(5, "note.text")),
        m("nobody's", obj(5, lambda o: o.pop("who") and None), note(5, "who")),
        m("an empty unit", obj(5, lambda o: o.update(who="")), note(5, "who")),
        m("a unit of null", obj(5, lambda o: o.update(who=None)), note(5, "who")),
        m("a unit that is an object", obj(5, lambda o: o.update(who={"id": 3})), note(5, "who")),
        m("a key twice", line(5, lambda l: l.replace('"who"', '"who": "p9", "who"', 1)), note(5)),
        m("a wrong escape", line(5, lambda l: l.replace("pain", "pa\\in")), note(5)),
        m("half a surrogate", line(5, lambda l: l.replace("pain", "\\ud83d")), note(5)),
        m("a tab within", line(5, lambda l: l.replace("pain is", "pain\tis")), note(5)),
        m("Latin-1", raw(lambda b: b.replace(b"day 4", b"T\xe4g 4", 1)), note(5)),
        m("a NUL byte", raw(lambda b: b.replace(b"day 4", b"day\0 4", 1)), note(5)),
        m("an escaped NUL", line(5, lambda l: l.replace("pain", "pa\\u0000in")), r"1 bytes for which the tokenizer has no token", True),
        m("UTF-16", raw(lambda b: b"\xff\xfe" + b.decode().encode("utf-16-le")), r"notes\.ndjson[:,].*UTF-16"),
        m("nested a thousand deep", line(5, lambda l: '{"note":' * 3000 + "1" + "}" * 3000), note(5)),
        m("an empty file", lambda t: "", r"notes\.ndjson"),
        m("blank lines alone", lambda t: "\n\n\n", r"notes\.ndjson"),
        m("cut in the middle", raw(lambda b: b[: len(b) // 2]), r"notes\.ndjson:\d+"),
        m("a damaged gzip", raw(lambda b: gzip.compress(b)[:-9]), r"notes\.ndjson"),
        m("XML", lambda t: "<?xml version='1.0'?><notes/>", note(1)),
        m("a blank line within, CR LF", raw(lambda b: b.replace(b"\n", b"\r\n", 3).replace(b"\n", b"\n\n", 1)), r"20 records", True),
        m("the file is not there", delete("notes.ndjson"), r"notes\.ndjson"),
    ]


# One file of a FHIR export; lines 1 to 4 are Patients, then a Condition, an Encounter and an Observation of each.
FHIR_QUERY = ("SELECT p.id AS patient, count(*) AS events, max(e.code = 'I10') AS outcome FROM patient p JOIN event e "
              "ON e.patient = p.id GROUP BY p.id")
FHIR_SCHEMA = """\
name: export
columns:
  - {name: patient, kind: ignore}
  - {name: events, kind: numeric, range: [0, 100]}
  - {name: outcome, kind: label, negative: ["0"], positive: ["1"]}
"""


CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


def good_fhir():
    who = ["ada", "ben", "cid", "dot"]
    lines = [{"resourceType": "Patient", "id": w, "gender": "female", "birthDate": "19%d0-02-28" % (3 + i)}
             for i, w in enumerate(who)]
    for i, w in enumerate(who):
        of = {"subject": {"reference": "Patient/" + w}}
        code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": ["I10", "E11"][i % 2]}]}
        lines += [
            {"resourceType": "Condition", "id": "c" + w, **of, "code": code, "onsetDateTime": "2011-05-06"},
            {"resourceType": "Encounter", "id": "e" + w, **of, "class": {"code": "AMB"}, "type": [code],
             "period": {"start": "2011-05-06T10:00:00+01:00", "end": "2011-05-06T11:00:00+01:00"}},
            {"resourceType": "Observation", "id": "o" + w, **of, "code": code, "effectiveDateTime": "2011-05-07",
             "valueQuantity": {"value": 120.5, "unit": "mm[Hg]"}},
        ]
    return "".join(json.dumps(l) + "\n" for l in lines)


def fhir_line(n, rest=""):
    return r"export/all\.ndjson:%d[,:] ?.*%s" % (n, rest)


@kind("fhir")
def fhir():
    m = Mistake

    def res(n, f):
        """Changes the resource of a line."""
        def g(text):
            o = json.loads(text)
            f(o)
            return json.dumps(o)
        return line(n, g)

    def put(n, **what):
        return res(n, lambda o: o.update(what))

    def pop(n, key):
        return res(n, lambda o: o.pop(key))

    def twin(name, text):
        def change(path):
            with open(os.path.join(os.path.dirname(path), name), "wb") as f:
                f.write(text)
        change.in_place = True
        return change
    def archived(path):
        with open(path) as f:
            lines = f.readlines()
        with open(path, "w") as f:
            f.writelines(lines[4:])
        twin("Patient.ndjson.zip", b"PK\3\4")(path)
    archived.in_place = True
    here = r"export/all\.ndjson: this is no NDJSON but "
    return [
        m("a type mistyped", put(5, resourceType="Conditon"), fhir_line(5, "resourceType.*Condition")),
        m("Patient mistyped", put(1, resourceType="Patiant"), fhir_line(1, "resourceType.*Patient")),
        m("a type in small letters", put(1, resourceType="patient"), fhir_line(1, "resourceType.*Patient")),
        m("a type that is a number", put(1, resourceType=7), fhir_line(1, "resourceType")),
        m("no type", pop(5, "resourceType"), fhir_line(5, "resourceType")),
        m("a key of a type mistyped", line(5, lambda l: l.replace("resourceType", "resourcetype")), fhir_line(5, "resourceType")),
        m("a Bundle", lambda t: json.dumps({"resourceType": "Bundle", "entry": []}) + "\n" + t, fhir_line(1, "Bundle.*entry")),
        m("an array of all", lambda t: "[" + t.strip().replace("\n", ",") + "]\n", fhir_line(1, "array.*jq")),
        m("pretty-printed", lambda t: "".join(json.dumps(json.loads(l), indent=1) + "\n" for l in t.strip().split("\n")), fhir_line(1, r"several lines.*jq.*\n(?!.*all\.ndjson:2)")),
        m("no id of a patient", pop(2, "id"), fhir_line(2, "no id")),
        m("an empty id", put(2, id=""), fhir_line(2, "id: .*letters")),
        m("an id that is a number", put(2, id=12), fhir_line(2, "id: 12 .*quotes")),
        m("a patient twice", lambda t: t + t.split("\n")[1] + "\n", fhir_line(17, "Patient/ben: is there already")),
        m("a condition twice", lambda t: t + t.split("\n")[4] + "\n", fhir_line(17, "Condition/cada: is there already")),
        m("the file twice", lambda t: t + t, fhir_line(17, "two exports")),
        m("the packed file, too", twin("all.ndjson.gz", gzip.compress(b"\n")), r"all\.ndjson\.gz: all\.ndjson is there, too"),
        m("a gender of one letter", put(3, gender="F"), fhir_line(3, "gender: .*female")),
        m("a gender in capitals", put(3, gender="Male"), fhir_line(3, "gender: .*male")),
        m("a gender that is a list", put(3, gender=["male"]), fhir_line(3, "gender: is a list")),
        m("a birth in 9999", put(3, birthDate="9999-12-31"), fhir_line(3, "birthDate: .*1850 to today")),
        m("a birth in 1066", put(3, birthDate="1066-10-14"), fhir_line(3, "birthDate: .*1850")),
        m("a birth the German way", put(3, birthDate="28.02.1950"), fhir_line(3, "birthDate: .*1950-02-28")),
        m("a birth on no such day", put(3, birthDate="1951-02-29"), fhir_line(3, "birthDate: .*no such day")),
        m("a birth that is a number", put(3, birthDate=19500228), fhir_line(3, "birthDate: .*date in double quotes")),
        m("birthdate in small letters", line(3, lambda l: l.replace("birthDate", "birthdate")), fhir_line(3, 'birthdate.*"birthDate"')),
        m("dead before the birth", put(3, deceasedDateTime="1900-01-01"), fhir_line(3, "deceasedDateTime: .*before")),
        m("an onset that is no date", put(5, onsetDateTime="in spring"), fhir_line(5, "onsetDateTime: ")),
        m("an hour of 25", put(5, onsetDateTime="2011-05-06T25:00:00Z"), fhir_line(5, "onsetDateTime: ")),
        m("no subject", pop(5, "subject"), fhir_line(5, "subject is not there|subject: is not there")),
        m("a subject that is a text", put(5, subject="Patient/ada"), fhir_line(5, "subject: .*object")),
        m("a subject that is a group", put(5, subject={"reference": "Group/ada"}), fhir_line(5, "subject.reference: .*Patient/ID")),
        m("a patient who is not there", put(5, subject={"reference": "Patient/eve"}), fhir_line(5, "in none of the folder")),
        m("no file of patients", lambda t: "\n".join(t.split("\n")[4:]), r"export: there is no Patient"),
        m("patients in an archive", archived, r"export: there is no Patient.*passed over is Patient\.ndjson\.zip"),
        m("a period's key mistyped", put(5, resourceType="Procedure", status="completed", performedPeriode={"start": "2020-01-01"}),
          fhir_line(5, "performedPeriod")),
        m("a code that is a text", put(5, code="I10"), fhir_line(5, "code: .*codings")),
        m("a coding that is no list", put(5, code={"coding": {"code": "I10"}}), fhir_line(5, "coding: .*list")),
        m("a code that is a number", put(5, code={"coding": [{"code": 10}]}), fhir_line(5, "code: 10 .*quotes")),
        m("a class that is a list", put(6, **{"class": [{"code": "AMB"}]}), fhir_line(6, "class: is a list")),
        m("a period that is a text", put(6, period="2011-05-06"), fhir_line(6, "period: .*object")),
        m("a value that is a text", put(7, valueQuantity={"value": "120"}), fhir_line(7, "valueQuantity.value: .*number without quotes")),
        m("a quantity that is a number", put(7, valueQuantity=120), fhir_line(7, "valueQuantity: .*object")),
        m("two mistakes in two lines", lambda t: put(3, gender="F")(put(7, valueQuantity=1)(t)), r"all\.ndjson:3, (?s:.*)all\.ndjson:7, "),
        m("a cut line", line(7, lambda l: l[:-20]), fhir_line(7, "ends before the resource")),
        m("a comma too many", line(7, lambda l: l[:-1] + ",}"), fhir_line(7, "a comma too many")),
        m("single quotes", line(7, lambda l: l.replace('"', "'")), fhir_line(7, "double quotes")),
        m("a decimal comma", line(7, lambda l: l.replace('"value": 120', '"value": 120,5', 1)), fhir_line(7, "decimal comma")),
        m("NaN", line(7, lambda l: l.replace('"value": 120', '"value": NaN', 1)), fhir_line(7, "NaN .*leave the element out")),
        m("a plus", line(7, lambda l: l.replace('"value": 120', '"value": +120', 1)), fhir_line(7, r"no \+ before")),
        m("two objects in a line", line(5, lambda l: l + l), fhir_line(5, "line of its own")),
        m("a code that is a list", put(5, code=[{"coding": [{"code": "I10"}]}]), fhir_line(5, "code: is a list")),
        m("onsetDate", line(5, lambda l: l.replace("onsetDateTime", "onsetDate")), fhir_line(5, 'onsetDate: .*"onsetDateTime"')),
        m("an end before the beginning", put(6, period={"start": "2011-05-06", "end": "2001-05-06"}), fhir_line(6, "period.end: is before")),
        m("a pointer of Git LFS", raw(lambda b: b"version https://git-lfs.github.com/spec/v1\n"), here + "a pointer of Git LFS.*git lfs pull"),
        m("a type of a vendor's", lambda t: t + '{"resourceType": "Vendor-Thing"}\n', r"ok +records", True),
        m("a key twice", line(7, lambda l: l.replace('"id"', '"id": "x", "id"', 1)), fhir_line(7, "twice")),
        m("Latin-1", raw(lambda b: b.replace(b"mm[Hg]", b"m\xfcll", 1)), fhir_line(7, "UTF-8")),
        m("UTF-16", raw(lambda b: b.decode().encode("utf-16")), here + "UTF-16"),
        m("a web page", raw(lambda b: b"<html><body>login</body></html>"), here + "a web page.*login"),
        m("a zip archive", raw(lambda b: b"PK\3\4" + b), here + "a zip archive; unpack"),
        m("a damaged gzip", raw(lambda b: gzip.compress(b)[:-20]), r"all\.ndjson: .*(copied whole|damaged).*[Cc]opy"),
        m("an empty file", raw(lambda b: b""), r"export/.*: the file is empty; export it again"),
        m("no file", delete("export/all.ndjson"), r"export: there are no files"),
        m("a byte order mark and CR LF", raw(lambda b: b"\xef\xbb\xbf" + b.replace(b"\n", b"\r\n")), r"ok +records", True),
        m("a status mistyped", put(7, status="entered_in_error"), fhir_line(7, "status: .*no status.*entered-in-error")),
        m("a verification mistyped", put(5, verificationStatus={"coding": [{"system": CLINICAL, "code": "confirmd"}]}),
          fhir_line(5, "verificationStatus.coding.code: .*confirmed")),
        m("any status that there is", lambda t: put(7, status="amended")(put(6, status="finished")(t)), r"ok +records", True),
        m("a period that begins", put(6, period={"begin": "2011-05-06", "end": "2011-05-07"}), fhir_line(6, 'period.begin: .*"start"')),
        m("a period without an end", put(6, period={"start": "2011-05-06", "id": "p", "extension": []}), r"ok +records", True),
        m("a coding's code mistyped", put(5, code={"coding": [{"cod": "I10"}]}), fhir_line(5, 'code.coding.cod: .*"code"')),
        m("a quantity's value mistyped", put(7, valueQuantity={"amount": 12, "unit": "kg"}), fhir_line(7, 'valueQuantity.amount: .*"value"')),
        m("a release later", line(6, lambda l: l.replace('"period"', '"actualPeriod"')), fhir_line(6, 'actualPeriod: is of FHIR R5.*"period"')),
        m("a download not finished", twin("more.ndjson.part", b"{"), r"export/more\.ndjson\.part: a download that is not finished"),
        m("what is left of a download", twin("all.ndjson.part", b"{"), r"ok +records", True),
        m("a comma at each line's end", lambda t: t.replace("\n", ",\n"), fhir_line(1, "a comma at the end of the line")),
        m("NUL bytes", raw(lambda b: b.replace(b'"oada"', b"\0" * 40, 1)), fhir_line(7, "NUL")),
        m("NUL bytes alone", line(7, lambda l: "\0" * 80), fhir_line(7, "NUL")),
        m("two versions not merged", line(7, lambda l: "<<<<<<< HEAD\n" + l), fhir_line(7, "Git.*merged")),
        m("the list of an export's files", lambda t: json.dumps({"transactionTime": "2024-01-01", "request": "x", "output": [
            {"type": "Patient", "url": "https://x/1"}]}) + "\n", fhir_line(1, r"list of an export's files.*output\[\]\.url")),
        m("a day as seconds", put(5, onsetDateTime=1304640000), fhir_line(5, "onsetDateTime: 1304640000 .*date.*1970")),
        m("too deep", line(7, lambda l: '{"a":' * 3000 + "1" + "}" * 3000), fhir_line(7, "too deep")),
        # Of 60 MB: the time is that of its bytes.
        m("all in one line of 60 MB", lambda t: (t.replace("\n", " ") * 25000)[:60 << 20], fhir_line(1, "line of its own")),
        m("a line of 70 MB", lambda t: t + " " * (70 << 20) + "\n", r"all\.ndjson:17: the line is longer than 64 MiB"),
    ]


# ---- running ----

class Bench:
    def __init__(self, bin_dir, run, work):
        self.bin, self.run, self.work = bin_dir, run, work
        with open(os.path.join(run, "northgate/node.yaml")) as f:
            text = f.read()
        self.node = NODE.format(door=re.search(r'door: "([^"]*)"', text)[1], key=re.search(r'door_key: "([^"]*)"', text)[1])
        said = subprocess.run([self.tool("aggregator"), "invite", "mutant", "--directory", os.path.join(run, "aggregator")],
                              capture_output=True, text=True)
        self.code = next(l for l in said.stdout.split("\n") if l.startswith("fedmoe1"))
        vocabulary = {c: i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz0123456789\u0120")}
        self.tokenizer = json.dumps({
            "version": "1.0", "normalizer": None, "post_processor": None, "decoder": {"type": "ByteLevel"},
            "added_tokens": [{"id": len(vocabulary), "content": "</s>", "special": True, "single_word": False,
                              "lstrip": False, "rstrip": False, "normalized": False}],
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "unk_token": None, "merges": [], "vocab": vocabulary}})

    def tool(self, name):
        return os.path.join(self.bin, "fedmoe-" + name)

    def prepare(self, kind_name, folder):
        """The good files. Returns the mistaken one's name and the command."""
        files = {"schema.yaml": SCHEMA, "records.csv": good_records(), "node.yaml": self.node}
        check = [self.tool("node"), "check", "--config", "node.yaml"]
        if kind_name in ("records", "schema", "node"):
            shutil.copytree(os.path.join(self.run, "northgate/identity"), os.path.join(folder, "identity"))
            name, command = {"records": "records.csv", "schema": "schema.yaml", "node": "node.yaml"}[kind_name], check
        elif kind_name == "fhir":
            shutil.copytree(os.path.join(self.run, "northgate/identity"), os.path.join(folder, "identity"))
            os.mkdir(os.path.join(folder, "export"))
            files = {"export/all.ndjson": good_fhir(), "schema.yaml": FHIR_SCHEMA, "query.sql": FHIR_QUERY,
                     "node.yaml": self.node.replace("records: records.csv", "records: {fhir: export, query_file: query.sql}")}
            name, command = "export/all.ndjson", check
        elif kind_name == "federation":
            files["federation.yaml"] = FEDERATION
            shutil.copy(os.path.join(self.run, "model.safetensors"), folder)
            name = "federation.yaml"
            command = [self.tool("aggregator"), "init", "--directory", "agg", "--config", name,
                       "--identity", os.path.join(self.run, "aggregator-identity")]
        elif kind_name == "code":
            files["code.txt"] = self.code
            name, command = "code.txt", [self.tool("node"), "join", "-", "--output", "joined", "--wait-s", "1"]
        elif kind_name == "model":
            shutil.copy(os.path.join(self.run, "model.safetensors"), folder)
            shutil.copy(os.path.join(self.run, "northgate/test.csv"), os.path.join(folder, "test.csv"))
            name = "model.safetensors"
            command = [self.tool("model"), "predict", "--model", name, "--input", "test.csv", "--output", "risk.csv"]
        elif kind_name == "dictionary":
            files = {"dictionary.csv": DICTIONARY}
            name, command = "dictionary.csv", [self.tool("node"), "schema", "suggest", "--dictionary", "dictionary.csv",
                                               "--label", "outcome"]
        else:
            files = {"notes.ndjson": good_notes(), "notes.yaml": TEXT_SCHEMA, "tokenizer.json": self.tokenizer}
            name, command = "notes.ndjson", [self.tool("model"), "corpus", "--schema", "notes.yaml",
                                             "--tokenizer", "tokenizer.json", "notes.ndjson"]
        for f, text in files.items():
            with open(os.path.join(folder, f), "w", newline="") as out:
                out.write(text)
            os.chmod(os.path.join(folder, f), 0o600)
        return name, command

    def make(self, mistake, path, folder):
        """Makes the mistake in the file."""
        if mistake.extra:
            with open(path, "w", newline="") as f:
                f.write(mistake.extra["base"])
        if mistake.change.__qualname__.startswith("delete."):
            mistake.change(folder)
            return
        if getattr(mistake.change, "in_place", False):
            mistake.change(path)
            return
        with open(path, "rb") as f:
            data = f.read()
        changed = mistake.change(data) if getattr(mistake.change, "raw", False) else mistake.change(data.decode()).encode()
        if changed == data and mistake.name not in UNCHANGED:
            raise AssertionError("the mistake changes nothing: " + mistake.name)
        with open(path, "wb") as f:
            f.write(changed)

    def one(self, kind_name, mistake):
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            name, command = self.prepare(kind_name, folder)
            self.make(mistake, os.path.join(folder, name), folder)
            stdin = open(os.path.join(folder, "code.txt"), "rb") if kind_name == "code" else subprocess.DEVNULL
            try:
                done = subprocess.run(command, cwd=folder, stdin=stdin, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, timeout=60)
                rc, said = done.returncode, done.stdout.decode(errors="replace")
            except subprocess.TimeoutExpired:
                rc, said = None, "it hangs"
            return mistake, rc, said, self.judge(mistake, rc, said)

    @staticmethod
    def judge(mistake, rc, said):
        """What is wrong with the answer; None when nothing is."""
        if rc is None:
            return "hangs"
        if rc < 0 or rc > 2 or "AddressSanitizer" in said or "runtime error" in said:
            return "crashes"
        if mistake.harmless != (rc == 0):
            return "exit code %d" % rc
        return None if re.search(mistake.expect, said) else "does not say: " + mistake.expect


UNCHANGED = {"REDCap's own", "the right code, of an aggregator that is not running"}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--bin", required=True)
    p.add_argument("--run", required=True)
    p.add_argument("--kind", action="append", choices=sorted(KINDS))
    p.add_argument("--every", type=int, default=1, help="only each N-th mistake")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--list", help="where all mistakes and messages are written")
    o = p.parse_args()
    out = open(o.list, "w") if o.list else None
    failed = False
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(o.jobs) as pool, \
            concurrent.futures.ThreadPoolExecutor(8) as waiting:
        bench = Bench(os.path.abspath(o.bin), os.path.abspath(o.run), work)
        for name in o.kind or KINDS:
            mistakes = KINDS[name]()
            assert len(mistakes) >= 40, (name, len(mistakes))
            mistakes = mistakes[:: o.every]
            good = 0
            # Of a code that is whole the programs wait for an aggregator that is not there.
            for mistake, rc, said, wrong in (waiting if name == "code" else pool).map(lambda m: bench.one(name, m), mistakes):
                good += wrong is None
                if wrong:
                    failed = True
                    print("FAILED: %s: %s: %s\n%s" % (name, mistake.name, wrong, said.strip()[-1500:]), file=sys.stderr)
                if out:
                    shown = [l for l in said.split("\n") if l.strip() and not re.match(r"ok +(identity|ledger|journal|compute|configuration)", l)]
                    out.write("== %s: %s (exit %s%s)\n%s\n\n" % (name, mistake.name, rc, ", harmless" if mistake.harmless else "", "\n".join(shown[:30])))
            print("%-12s %d of %d" % (name, good, len(mistakes)))
    sys.exit(failed)


if __name__ == "__main__":
    main()
