#!/usr/bin/env python3
"""All of tests/vectors computed anew by this client. usage: check_vectors.py FOLDER

A value that differs is a fault here, in docs/protocol.md, or in fedmoe: each of them is to be mended.
"""
import datetime
import hashlib
import json
import math
import sys

try:
    import cryptography  # noqa: F401
except ImportError:
    print("skipped: python3-cryptography is not installed")
    sys.exit(77)

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

import audit
import digests
import enrol
import groups
import identity
import masks
import plan as plans
import step
import wire
from books import Journal
from wire import Refused

FOLDER = sys.argv[1]
done = 0


def load(name):
    with open(f"{FOLDER}/{name}", encoding="utf-8") as f:
        return json.load(f)


def pem(name):
    with open(f"{FOLDER}/identities/{name}", "rb") as f:
        return f.read()


def same(what, ours, theirs):
    global done
    done += 1
    if ours != theirs:
        sys.exit(f"{what}: this client gives {ours!r}, the vector is {theirs!r}")


def judged(what, accept, judge, *arguments):
    try:
        judge(*arguments)
        ours = True
    except (Refused, ValueError) as e:
        ours, what = False, f"{what} ({e})"
    same(f"{what}: accepted", ours, accept)


unhex = bytes.fromhex


def of_json(name, j):
    """A message as the vectors write it."""
    out = {}
    for _, field, kind in wire.fields_of(name):
        def one(v):
            base = kind.rstrip("*")
            if base in wire.SCHEMA:
                return None if v is None else of_json(base, v)
            return unhex(v) if base == "bytes" else int(v) if base in ("u32", "u64") else v
        out[field] = [one(v) for v in j[field]] if kind.endswith("*") else one(j[field])
    return out


# ---- topics ----

def messages():
    file = load("messages.json")
    for v in file["accepted"]:
        name, data = v["message"], unhex(v["encoding"])
        fields = of_json(name, v["fields"])
        same(f"number of {name}", wire.BODIES.index(name) + 1, v["number"])
        same(f"encoding of {name}", wire.encode(name, **fields).hex(), v["encoding"])
        same(f"fields of {name}", wire.decode(data), (name, fields))
        for cut in range(len(data)):
            judged(f"{name} cut at {cut}", False, wire.decode, data[:cut])
    same("each message is there", {v["message"] for v in file["accepted"]}, set(wire.BODIES))
    for v in file["refused"]:
        judged(v["why"], False, wire.decode, unhex(v["encoding"]))


def view(v):
    return digests.view(v["federation"], v["round"], unhex(v["session"]), unhex(v["roster"]),
                        unhex(v["plan"]), unhex(v["model"]), v["participants"], unhex(v["head"]))


DIGESTS = {
    "model": lambda v: digests.model_hash(unhex(v["bytes"])),
    "update bytes": lambda v: digests.update_hash(unhex(v["bytes"])),
    "plan": lambda v: digests.plan_hash(unhex(v["bytes"])),
    "participants": lambda v: digests.participants(v["participants"]),
    "welcome": lambda v: digests.welcome(v["federation"], unhex(v["connection"]), unhex(v["door"])),
    "roster": lambda v: digests.roster(unhex(v["session"]), [of_json("Credential", m)
                                                             for m in v["members"]]),
    "round start": lambda v: digests.round_start(view(v)),
    "update": lambda v: digests.update(view(v["view"]), v["node"], unhex(v["update"])),
    "commit": lambda v: digests.commit(view(v["view"]), v["survivors"],
                                       [unhex(u) for u in v["updates"]]),
    "finish": lambda v: digests.finish(v["federation"], v["rounds"], unhex(v["model"]),
                                       unhex(v["head"])),
    "ledger mark": lambda v: digests.ledger_mark(v["federation"], unhex(v["plan"]), v["round"],
                                                 unhex(v["ledger_head"])),
    "transcript": lambda v: digests.transcript(unhex(v["head"]), v["round"],
                                               unhex(v["commit_digest"]), unhex(v["model_after"])),
    "mark": lambda v: digests.mark(unhex(v["before"]), v["tag"].encode(), unhex(v["payload"])),
    "seal": lambda v: digests.seal(v["federation"], unhex(v["plan"]), unhex(v["mark"]),
                                   v["entries"], unhex(v["head"]), v["time"]),
    "entry": lambda v: digests.entry(v["federation"], unhex(v["head"]), unhex(v["body"])),
}


def all_digests():
    seen = set()
    for v in load("digests.json"):
        same(f"digest {v['digest']}", DIGESTS[v["digest"]](v["of"]).hex(), v["value"])
        seen.add(v["digest"])
    same("each digest is there", seen, set(DIGESTS))


def trust():
    return identity.Trust(identity.der_of(x509.load_pem_x509_certificate(pem("ca.crt"))))


def identities():
    file, t = load("identities.json"), trust()
    same("the CA's fingerprint", t.fingerprint.hex(), file["ca_fingerprint"])
    own = {}
    for v in file["parties"]:
        own[v["name"]] = one = identity.Identity(pem(v["name"] + ".crt"), pem(v["name"] + ".key"))
        same("certificate", one.der.hex(), v["certificate"])
        same("who it is of", [one.name, one.federation, one.role],
             [v["name"], v["federation"], v["role"]])
        same("fingerprint", identity.fingerprint(one.der).hex(), v["fingerprint"])
        t.member(one.der, v["role"], file["time"])
    for v in file["signatures"]:
        same(f"signature {v['label']}", own[v["by"]].sign(v["label"], unhex(v["digest"])).hex(),
             v["signature"])
    for v in file["sessions"]:
        s, c = v["statement"], of_json("Credential", v["credential"])
        role = "node" if s["role"] == 1 else "aggregator"
        same("statement", identity.put_statement(role, s["not_after"], unhex(s["curve"]),
                                                 unhex(s["x25519"]), s["federation"],
                                                 s["name"]).hex(), c["statement"].hex())
        ours = own[s["name"]].credential(unhex(s["curve"]), unhex(s["x25519"]), file["time"])
        same("credential", ours, c)
        identity.check_credential(t, c, role, file["time"])
    for v in file["credentials"]:
        judged(v["why"], v["accept"], identity.check_credential, t,
               of_json("Credential", v["credential"]), "node", v["time"])


def certificates():
    file, t = load("certificates.json"), trust()
    same("the CA", identity.der_of(t.cas[0]).hex(), file["ca"])
    for v in file["certificates"]:
        judged(v["why"], v["accept"], t.member, unhex(v["der"]), v["role"], v["time"])
    for v in file["signatures"]:
        judged(v["why"], v["accept"], identity.check_signature,
               identity.load_certificate(unhex(v["certificate"])).public_key(), v["label"],
               unhex(v["message"]), unhex(v["signature"]))
    now, node = load("identities.json")["time"], unhex(file["certificates"][0]["der"])
    for v in file["revocations"]:
        try:
            ours = "taken" if t.revise(unhex(v["list"])) else "held"
        except Refused:
            ours = "refused"
        same(f"list, {v['why']}", ours, v["verdict"])
        judged(f"the node after the list, {v['why']}", v["accept"], t.member, node, "node", now)
    for v in file["authorities"]:
        ca = identity.der_of(x509.load_pem_x509_certificate(v["ca"].encode()))
        judged(f"authority, {v['why']}", v["accept"], identity.Trust, ca)
        if v["accept"]:
            judged(f"a node below the authority, {v['why']}", v["node_accept"],
                   identity.Trust(ca).member, unhex(v["node"]), "node", now)
    for v in file["chains"]:
        judged(f"chain, {v['why']}", v["accept"], chain, v, now)
    for v in file["successors"]:
        judged(f"successor, {v['why']}", v["accept"], successor, v)


def chain(v, now):
    t = identity.Trust(identity.der_of(x509.load_pem_x509_certificate(v["ca"].encode())))
    for one in v["lists"]:
        t.revise(unhex(one["list"]), [unhex(c) for c in one["path"]])
    t.member(unhex(v["node"]), "node", now, path=[unhex(c) for c in v["path"]])


def successor(v):
    t = identity.Trust(identity.der_of(x509.load_pem_x509_certificate(v["ca"].encode())))
    t.succeed({"authority": unhex(v["authority"]), "signature": unhex(v["signature"])}, v["time"])
    t.member(unhex(v["node"]), "node", v["time"])


def enrolment():
    file = load("enrolment.json")
    v = file["code"]
    code = {k: unhex(x) if k in ("door_key", "ca", "token") else x for k, x in v["fields"].items()}
    same("join code", enrol.put_code(**code), v["text"])
    same("its fields", enrol.take_code(v["text"]), code)
    same("the token's seed", enrol.token_seed(code["token"]).hex(), v["seed"])
    same("invitation", enrol.invitation(code["token"]).hex(), v["invitation"])
    for v in file["codes"]:
        judged(v["why"], v["accept"], enrol.take_code, v["code"])
    for v in file["proofs"]:
        channel = unhex(v["connection"]), unhex(v["door"])
        if v["accept"]:
            same("proof", enrol.prove(code["token"], *channel, unhex(v["request"])).hex(), v["proof"])
        judged(v["why"], v["accept"], enrol.check_proof, unhex(v["invitation"]), *channel,
               unhex(v["request"]), unhex(v["proof"]))
    for v in file["requests"]:
        same("request", enrol.take_request(unhex(v["der"])),
             (v["role"], v["federation"], v["name"], unhex(v["key_fingerprint"])))
    key = identity.Identity(pem("alpha.crt"), pem("alpha.key")).key
    same("own request", enrol.take_request(enrol.request(key, "heart-2026", "alpha"))[1:],
         ("heart-2026", "alpha", identity.key_fingerprint(key.public_key())))


def lattice_of(one):
    return {"e": one.e, "finer": one.finer, "delta": one.delta, "sigma": one.sigma,
            "share": one.share}


def all_plans():
    file, bases = load("plans.json"), {}
    for v in file["plans"]:
        p = {name: unhex(v["fields"][name]) if kind == "bytes" else v["fields"][name]
             for _, name, kind in wire.fields_of("Plan")}
        bases[v["name"]] = p
        data = unhex(v["encoding"])
        same(f"plan {v['name']}", plans.encode(p).hex(), v["encoding"])
        same("its fields", plans.decode(data), p)
        same("its hash", digests.plan_hash(data).hex(), v["hash"])
        same("its lattice", lattice_of(plans.Lattice(p)), v["lattice"])
        judged("a plan with a byte behind it", False, plans.decode, data + b"\0")
        judged("a plan of version 4", False, plans.decode, data.replace(b"\x08\x05", b"\x08\x04", 1))
    kinds = {name: kind for _, name, kind in wire.fields_of("Plan")}
    for v in file["changes"]:
        value = int(v["value"]) if kinds[v["field"]] == "u32" else v["value"]
        judged(f"{v['plan']} with {v['field']} {value}", v["accept"], plans.check,
               dict(bases[v["plan"]], **{v["field"]: value}))
    for v in file["lattices"]:
        try:
            ours = lattice_of(plans.Lattice(v))
        except Refused:
            ours = None
        same(f"lattice of {v}", ours, v["lattice"])


def noise():
    file = load("noise.json")
    for v in file["levels"]:
        of = masks.levels(v["sigma"], v["participants"], v["quorum"], v["colluders"], v["local"])
        same("levels", [{"losses": e, "sigma": s} for e, s in of], v["levels"])
        for s in v["surplus"]:
            same("surplus", len(of) - masks.kept(of, v["participants"], s["survivors"]), s["seeds"])
    for v in file["integers"]:
        x = masks.Gaussian(v["sigma"]).expand(unhex(v["seed"]), v["at"] + 1)
        same("integers", x[:len(v["first"])], v["first"])
        same("a later one", x[v["at"]], v["value"])
        same("fewer are the first ones", masks.Gaussian(v["sigma"]).expand(unhex(v["seed"]), 100),
             x[:100])


# ---- the rounds ----

def graph():
    file = load("graph.json")
    for v in file["edges"]:
        same("edges", [int(masks.edge(unhex(v["seed"]), d)) for d in v["densities"]], v["edge"])
    for v in file["densities"]:
        n, t, c, d = v["max_nodes"], v["quorum"], v["colluders"], v["chosen"]
        limit = plans.allowed(v["delta"])
        honest = plans.honest(n, t, c)
        same("honest survivors", [plans.held(n, t), honest], [v["held"], v["honest"]])
        for density, log2 in ((d, v["log2_apart_with_chosen"]), (64, v["log2_apart_with_64"])):
            ours = plans.log2_apart(n, honest, density)
            same("log2", (math.isinf(ours), log2 is None or abs(ours - log2) < 1e-5),
                 (log2 is None, True))
        low = v["accepted_from"]
        same("accepted", [plans.dense_enough(n, t, c, x, limit) for x in (d, low, low - 1)],
             [True, True, False])
        if n <= 200:  # of more it takes long
            same("chosen", plans.choose(n, t, c, v["delta"]), d)
    for v in file["limits"]:
        density, rounds = v["mask_density"], v["rounds"]
        same("limits", [plans.few_enough(density, rounds + 1), plans.few_enough(density, rounds)],
             [v["one_more_release"], v["plan"]])
        same("room for a release", has_room(rounds, density), v["one_more_release"])
    graph_round(file["round"])


def has_room(releases, density):
    """Of a journal that knows of so many, and of as many of another plan."""
    class Lines:
        lines = [{"plan": p.hex(), "what": "released", "round": r, "data": ""}
                 for p in (b"this", b"other") for r in range(releases)]

    try:
        Journal(Lines, b"this").need_room(density)
    except Refused:
        return False
    return True


def graph_round(r):
    """A round of 40 nodes, and what is left of its updates."""
    bits, nodes, sum_ = r["word_bits"], range(r["nodes"]), [0, 0, 0, 0]

    def key(u, v):
        return digests.H("fedmoe vector pair", digests.u64(min(u, v), max(u, v)))

    def others(u, of):
        return [v for v in of if v != u and masks.edge(key(u, v), r["mask_density"])]

    for u, n in zip(nodes, r["updates"]):
        own = digests.H("fedmoe vector self", digests.u64(u, u))
        words = masks.add([1000 * u + i for i in range(4)], own, 1, bits)
        for v in others(u, nodes):
            words = masks.add(words, key(u, v), masks.sign_of(u, v), bits)
        same("update", [masks.bytes_of(words, bits).hex(), len(others(u, nodes))],
             [n["update"], n["masks_shared"]])
        if u in r["lost"]:
            continue
        words = masks.add(words, own, -1, bits)
        for v in others(u, r["lost"]):
            words = masks.add(words, key(u, v), -masks.sign_of(u, v), bits)
        sum_ = [(a + b) % 2**bits for a, b in zip(sum_, words)]
    same("sum", sum_, r["sum"])
    same("sum of the survivors", sum_[0], sum(1000 * u for u in nodes if u not in r["lost"]))


class Run:
    def __init__(self, file):
        self.t = trust()
        self.federation = self.t.federation
        data = unhex(file["plan"])
        self.plan, self.lattice = plans.approve(data, self.federation)
        self.plan_hash = digests.plan_hash(data)
        same("plan hash", self.plan_hash.hex(), file["plan_hash"])
        self.session = unhex(file["session"])
        self.members = [of_json("Credential", m["credential"]) for m in file["members"]]
        self.roster = digests.roster(self.session, self.members)
        same("roster digest", self.roster.hex(), file["roster_hash"])
        same("Roster", wire.encode("Roster", session=self.session, members=self.members).hex(),
             file["Roster"])
        time = load("identities.json")["time"]
        self.hub, _ = identity.check_credential(self.t, of_json("Credential", file["aggregator"]),
                                                "aggregator", time)
        self.statements = [identity.check_credential(self.t, m, "node", time)[1]
                           for m in self.members]
        self.own = [identity.Identity(pem(m["name"] + ".crt"), pem(m["name"] + ".key"))
                    for m in file["members"]]
        self.secrets = self.pair_secrets(file)

    def pair_secrets(self, file):
        out = []
        for u, m in enumerate(file["members"]):
            key = masks.X25519PrivateKey.from_private_bytes(unhex(m["x25519_secret"])).public_key()
            same("X25519 public key", key.public_bytes(serialization.Encoding.Raw,
                                                       serialization.PublicFormat.Raw).hex(),
                 m["x25519_public"])
            row = [None if v == u else masks.pair_secret(
                masks.agree(unhex(m["x25519_secret"]), s["x25519"]), self.federation, self.session,
                self.roster, u, v, self.statements[u]["x25519"], s["x25519"])
                for v, s in enumerate(self.statements)]
            same("pair secrets", [s and s.hex() for s in row], m["pair_secrets"])
            out.append(row)
        return out


def one_update(run, r, v, u, p):
    """Sum, noise, masks, digest and signature of a node."""
    lattice, bits, n = run.lattice, run.plan["word_bits"], r["nodes"][u]
    encoded = [sum(round(x * 2.0**lattice.f) for x in column) for column in zip(*n["units"])]
    same("encoded sum", encoded, n["sum"])
    of = masks.levels(lattice.sigma, len(p), run.plan["quorum"], run.plan["colluders"], False)
    same("as many levels", len(of), len(n["levels"]))
    words = encoded
    for i, ((_, sigma), level) in enumerate(zip(of, n["levels"])):
        # The first one on the units' lattice, and then rounded to the wire's: any way to do it.
        x = masks.Gaussian(sigma * 2.0**lattice.finer if i == 0 else sigma).expand(
            unhex(level["seed"]), len(words))
        same("noise", x, level["noise"])
        words = [a + b for a, b in zip(words, x)]
        if i == 0:
            words = [w / 2.0**lattice.finer for w in words]
    same("rounded to words", max(abs(a - b) for a, b in zip(words, n["unmasked"]))
         <= (0.5 if lattice.finer else 0), True)
    words = [w & ((1 << bits) - 1) for w in n["unmasked"]]
    context = masks.round_context(r["round"], run.plan_hash, unhex(r["model_hash"]), p)
    same("round context", context.hex(), r["context"])
    words = masks.add(words, unhex(n["self_mask"]["seed"]), 1, bits)
    same("own mask", masks.prg(unhex(n["self_mask"]["seed"]), 6, bits), n["self_mask"]["first_words"])
    for w in p:
        if w == u:
            continue
        seed = masks.mask_key(run.secrets[u][w], context)
        same("mask seed", seed.hex(), n["pair_masks"][w]["seed"])
        same("mask", masks.prg(seed, 6, bits), n["pair_masks"][w]["first_words"])
        if masks.edge(seed, run.plan["mask_density"]):
            words = masks.add(words, seed, masks.sign_of(u, w), bits)
    data = masks.bytes_of(words, bits)
    same("update", data.hex(), n["update"])
    same("update hash", digests.update_hash(data).hex(), n["update_hash"])
    digest = digests.update(v, u, digests.update_hash(data))
    same("update digest", digest.hex(), n["update_digest"])
    same("update signature", run.own[u].sign("fedmoe update v1", digest).hex(), n["update_signature"])


def one_round(run, r, head, known, optimizer):
    start = wire.decode(unhex(r["RoundStart"]))[1]
    p = start["participants"]
    v = digests.view(run.federation, r["round"], run.session, run.roster, run.plan_hash,
                     start["model_hash"], p, start["head"])
    same("round start digest", digests.round_start(v).hex(), r["start_digest"])
    identity.check_signature(run.hub.key, "fedmoe round start v1", digests.round_start(v),
                             start["signature"])
    digests.follow(0, bytes(32), start["entries"], start["head"])
    same("head", [start["head"], start["entries"]], [head, known])
    same("model", digests.model_hash(unhex(r["model"])), start["model_hash"])
    for u in p:
        one_update(run, r, v, u, p)
    survivors = [u for u in p if r["nodes"][u]["survives"]]
    said = {name: [wire.decode(unhex(x))[1] for x in (m if isinstance(m, list) else [m])]
            for name, m in r["messages"].items()}
    s = said["Survivors"][0]
    same("survivors", s["survivors"], survivors)
    commit = digests.commit(v, survivors, s["update_hashes"])
    same("commit digest", commit.hex(), r["commit_digest"])
    seeds = []
    for i, u in enumerate(survivors):
        n, release = r["nodes"][u], said["Release"][i]
        signature = run.own[u].sign("fedmoe commit v1", commit)
        same("update in Survivors", [s["update_hashes"][i].hex(), s["update_signatures"][i].hex()],
             [n["update_hash"], n["update_signature"]])
        same("Commit", [said["Commit"][i]["signature"], said["Commits"][0]["signatures"][i]],
             [signature, signature])
        lost = [w for w in p if w not in survivors]
        same("released seeds", [(x["lost"], x["seed"].hex()) for x in release["pair_seeds"]],
             [(w, n["pair_masks"][w]["seed"]) for w in lost])
        same("surplus", [x.hex() for x in release["surplus_seeds"]],
             [x["seed"] for x in n["levels"][len(n["levels"]) - len(release["surplus_seeds"]):]])
        mark = digests.ledger_mark(run.federation, run.plan_hash, r["round"],
                                   release["ledger_head"])
        same("ledger mark", release["ledger_signature"], run.own[u].sign("fedmoe ledger mark v1",
                                                                         mark))
        seeds.append([release["self_seed"], *(x["seed"] for x in release["pair_seeds"]),
                      *release["surplus_seeds"]])
    updates = [masks.words_of(unhex(r["nodes"][u]["update"]), run.plan["word_bits"])
               for u in survivors]
    gradient = audit.gradient(run.plan, run.lattice, [p], survivors, updates, seeds)
    same("gradient", gradient, r["gradient"])
    same("unmasked sum", [x * 2.0**run.lattice.e for x in gradient],
         [step.f32(float(x)) for x in r["unmasked_sum"]])
    optimizer.step(gradient)
    after = step.put_floats(optimizer.state)
    same("model after", after.hex(), r["model_after"])
    entry = {"round": r["round"], "commit_digest": commit,
             "model_after": digests.model_hash(after)}
    head = digests.transcript(head, r["round"], commit, entry["model_after"])
    same("head after", head.hex(), r["head_after"])
    return head, known + [entry]


def rounds():
    for bits in (16, 24, 32):
        one_run(load(f"round{bits}.json"), bits)


def one_run(file, bits):
    run = Run(file)
    same("bits of a word", run.plan["word_bits"], bits)
    first = step.floats(unhex(file["rounds"][0]["model"]))
    optimizer = step.Optimizer(run.plan, run.lattice, first)
    head, known = bytes(32), []
    for r in file["rounds"]:
        head, known = one_round(run, r, head, known, optimizer)
    name, m = wire.decode(unhex(file["Finish"]))
    same("Finish", [name, m["rounds"], m["head"], m["entries"]], ["Finish", 2, head, known])
    digest = digests.finish(run.federation, 2, m["model_hash"], head)
    identity.check_signature(run.hub.key, "fedmoe finish v1", digest, m["signature"])


def audits():
    file, t = load("audit.json"), trust()
    for v in file["entries"]:
        e = audit.take_entry(unhex(v["entry"]))
        same("the entry's body", len(e["body"]), v["body_bytes"])
        same("commit digest", audit.commit_of(t.federation, e).hex(), v["commit_digest"])
        same("head after", audit.head_of(t.federation, e).hex(), v["head_after"])
        same("entry digest", digests.entry(t.federation, audit.head_of(t.federation, e),
                                           e["body"]).hex(), v["digest"])
    data = unhex(file["bundle"]["bytes"])
    same("marks", [m.hex() for *_, m in audit.sections(data)],
         [s["mark"] for s in file["bundle"]["sections"]])
    result = audit.verify(data, t)
    same("rounds recomputed", [result.entries, result.recomputed], [2, 2])
    for at in range(0, len(data), 97):
        judged(f"the bundle with byte {at} altered", False, audit.verify,
               data[:at] + bytes([data[at] ^ 1]) + data[at + 1:], t)
    judged("the bundle cut off", False, audit.verify, data[:-1], t)
    revocations(data, load("identities.json")["time"])


def utc(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc)


def with_list(name, at):
    """A trust whose list says that the party was revoked then."""
    t = trust()
    one = x509.load_pem_x509_certificate(pem(name + ".crt"))
    entry = (x509.RevokedCertificateBuilder().serial_number(one.serial_number)
             .revocation_date(utc(at)).build())
    seed = hashlib.sha256(b"fedmoe vectors ca").digest()  # identities.py
    crl = (x509.CertificateRevocationListBuilder().issuer_name(t.cas[0].subject)
           .last_update(utc(at)).next_update(utc(at + 86400)).add_revoked_certificate(entry)
           .add_extension(x509.CRLNumber(1), critical=False)
           .sign(ed25519.Ed25519PrivateKey.from_private_bytes(seed), None))
    t.revise(crl.public_bytes(serialization.Encoding.DER))
    return t, identity.der_of(one)


def revocations(bundle, made):
    """Before the statement, after it, and more than a day before a round's end."""
    for at, accept in ((made, False), (made + 1, True)):
        judged(f"the bundle with a member revoked at {at}", accept, audit.verify, bundle,
               with_list("alpha", at)[0])
    t, der = with_list("alpha", made + 10)
    member = t.member(der, "node", made, past=True)
    for time, accept in ((made, True), (made + 10 + audit.DAY, True), (made + 11 + audit.DAY, False)):
        judged(f"a round finished at {time}", accept, audit.check_time, member, made, time)
    same("since when a certificate counts", t.since(member.certificate),
         max(identity.seconds(c.not_valid_before) for c in (member.certificate, t.cas[0])))


def all_groups():
    file = load("groups.json")
    for v in file["draws"]:
        view = digests.view(v["federation"], int(v["round"]), unhex(v["session"]), unhex(v["roster"]),
                            unhex(v["plan"]), unhex(v["model"]), v["participants"], unhex(v["head"]))
        drawn = groups.draw({"robust_groups": v["groups"]}, view, v["participants"])
        same("groups", [next(g for g, of in enumerate(drawn) if u in of) for u in v["participants"]],
             v["group"])
    for v in file["means"]:
        same("a robust mean", groups.estimate(v, v["sums"], step.f32), v["estimate"])


def steps():
    kinds = {name: kind for _, name, kind in wire.fields_of("Plan")}
    for v in load("step.json"):
        p = {name: unhex(x) if kinds[name] == "bytes" else x for name, x in v["plan"].items()}
        plans.check(p)
        o = step.Optimizer(p, plans.Lattice(p), v["first"])
        for s in v["steps"]:
            o.step(s["gradient"])
            same(f"state, {v['name']}", o.state, s["state"])
        same(f"result, {v['name']}", o.result(), v["result"])


def main():
    for topic in (messages, all_digests, identities, certificates, enrolment, all_plans, noise, graph, rounds,
                  audits, all_groups, steps):
        before = done
        topic()
        print(f"{topic.__name__}: {done - before} values agree")


main()
