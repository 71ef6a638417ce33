"""Entries and audit bundles: docs/protocol.md, sections 15 and 16.

usage: audit.py BUNDLE CA.crt [CRL.pem]: check a bundle, updates and all.
"""
import sys

from cryptography import x509

import digests
import groups
import identity
import masks
import plan as plans
import step
import wire
from wire import Cursor, need

DAY = 24 * 3600
MAGIC = b"fedmoe audit bundle 1\n"
LIMITS = {b"plan": 1 << 20, b"ca  ": 1 << 20, b"modl": 1 << 32, b"rost": 8 << 20, b"entr": 262144,
          b"updt": 1 << 32, b"seed": 36896, b"seal": 9216}


def take_entry(data):
    c = Cursor(data)

    def signature():
        s = c.take(c.number(1))
        need(1 <= len(s) <= 96, "entry: a signature of a wrong length")
        return s

    need(c.number(1) == 1, "entry: version")
    e = {"round": c.number(8), "time": c.number(8), "session": c.take(16)}
    for name in ("roster", "plan", "model_before", "head_before", "model_after"):
        e[name] = c.take(32)
    e["participants"] = [c.number(4) for _ in range(c.number(4))]
    e["survivors"], e["updates"], e["update_signatures"], e["commit_signatures"] = [], [], [], []
    for _ in range(c.number(4)):
        e["survivors"].append(c.number(4))
        e["updates"].append(c.take(32))
        e["update_signatures"].append(signature())
        e["commit_signatures"].append(signature())
    length = c.number(4)
    need(1 <= length <= 8192, "entry: a certificate of a wrong length")
    e["certificate"] = c.take(length)
    e["body"] = data[:c.at]
    e["signature"] = signature()
    p, u = e["participants"], e["survivors"]
    need(c.end() and e["round"] > 0 and 1 <= len(u) <= len(p) <= 1024 and max(p) < 1024
         and wire.increasing(p) and wire.increasing(u) and set(u) <= set(p), "entry: its sets")
    return e


def view_of(federation, e):
    return digests.view(federation, e["round"], e["session"], e["roster"], e["plan"],
                        e["model_before"], e["participants"], e["head_before"])


def commit_of(federation, e):
    return digests.commit(view_of(federation, e), e["survivors"], e["updates"])


def head_of(federation, e):
    return digests.transcript(e["head_before"], e["round"], commit_of(federation, e),
                              e["model_after"])


def check_time(member, made, time):
    """That a round was finished while the member's statement, and certificate, stood. Section 16."""
    need(made - DAY <= time <= made + identity.DAYS_7 + DAY, "entry: its time")
    need(member.revoked is None or time <= member.revoked + DAY, "entry: of a member revoked before")


def sections(data):
    """(tag, payload, mark before, mark)"""
    c, mark = Cursor(data), bytes(32)
    need(c.take(len(MAGIC)) == MAGIC, "not an audit bundle")
    sealed = False
    while not c.end():
        need(not sealed, "bytes behind the seal")
        tag = c.take(4)
        need(tag in LIMITS, "a section that is not known")
        length = c.number(8)
        need(length <= LIMITS[tag], "a section that is too long")
        payload, before = c.take(length), mark
        mark = digests.mark(before, tag, payload)
        need(c.take(32) == mark, f"the mark of a section {tag}")
        sealed = tag == b"seal"
        yield tag, payload, before, mark
    need(sealed, "no seal")


class Verifier:
    """A bundle, section by section; raises Refused."""

    def __init__(self, trust):
        self.trust = trust
        self.head, self.last, self.entries = bytes(32), 0, 0
        self.members, self.entry, self.optimizer = None, None, None
        self.updates, self.seeds, self.recomputed, self.whole = [], [], 0, True
        self.expected = {b"plan"}

    def take(self, tag, payload, before):
        need(tag in self.expected, f"a section {tag} out of its place")
        if tag in (b"rost", b"entr", b"seal"):
            self._close()
        getattr(self, "_" + tag.decode().strip())(payload, before)

    def _plan(self, payload, _):
        self.plan, self.lattice = plans.approve(payload, self.trust.federation)
        self.plan_hash = digests.plan_hash(payload)
        self.model = self.plan["initial_model"]
        self.expected = {b"ca  "}

    def _ca(self, _payload, _):
        self.expected = {b"modl"}

    def _modl(self, payload, _):
        need(digests.model_hash(payload) == self.model, "the first model is not the plan's")
        need(len(payload) == 4 * self.plan["parameters"], "the first model has another length")
        self.optimizer = step.Optimizer(self.plan, self.lattice, step.floats(payload))
        self.expected = {b"rost"}

    def _rost(self, payload, _):
        name, m = wire.decode(payload)
        need(name == "Roster", "another message than a Roster")
        self.session, self.roster = m["session"], digests.roster(m["session"], m["members"])
        self.members = [self._past(c) for c in m["members"]]
        self.expected = {b"entr"}

    def _past(self, credential):
        """At the time of its own statement: section 16."""
        c = identity.load_certificate(credential["certificate"])
        s = identity.take_statement(credential["statement"])
        made = max(s["not_after"] - identity.DAYS_7, self.trust.since(c, credential["intermediates"]))
        member = self.trust.member(credential["certificate"], "node", made, past=True,
                                   path=credential["intermediates"])
        identity.check_statement(member, credential)
        return member, made

    def _entr(self, payload, _):
        e, f = take_entry(payload), self.trust.federation
        need(e["plan"] == self.plan_hash and e["round"] > self.last, "entry: plan or round")
        need((e["head_before"], e["model_before"]) == (self.head, self.model), "entry: the chain")
        need((e["session"], e["roster"]) == (self.session, self.roster), "entry: the roster")
        need(e["participants"][-1] < len(self.members), "entry: no such member")
        need(len(e["survivors"]) >= max(self.plan["quorum"], self.plan["min_cohort"]), "entry: few")
        v, commit = view_of(f, e), commit_of(f, e)
        e["groups"] = groups.draw(self.plan, v, e["participants"])
        groups.need_quorum(self.plan, e["groups"], e["survivors"])
        for i, u in enumerate(e["survivors"]):
            key = self.members[u][0].key
            identity.check_signature(key, "fedmoe update v1", digests.update(v, u, e["updates"][i]),
                                     e["update_signatures"][i])
            identity.check_signature(key, "fedmoe commit v1", commit, e["commit_signatures"][i])
        for u in e["participants"]:
            check_time(*self.members[u], e["time"])
        self.head = head_of(f, e)
        hub = self.trust.member(e["certificate"], "aggregator", e["time"], past=True)
        identity.check_signature(hub.key, "fedmoe entry v1",
                                 digests.entry(f, self.head, e["body"]), e["signature"])
        self.entry, self.last, self.model = e, e["round"], e["model_after"]
        self.entries += 1
        self.updates, self.seeds = [], []
        self.expected = {b"updt", b"rost", b"entr", b"seal"}

    def _updt(self, payload, _):
        e = self.entry
        need(digests.update_hash(payload) == e["updates"][len(self.updates)], "an update's hash")
        need(len(payload) == plans.update_bytes(self.plan), "an update of another length")
        self.updates.append(masks.words_of(payload, self.plan["word_bits"]))
        self.expected = {b"updt" if len(self.updates) < len(e["survivors"]) else b"seed"}

    def _seed(self, payload, _):
        e = self.entry
        need(len(payload) % 32 == 0, "seeds of a wrong length")
        self.seeds.append([payload[i:i + 32] for i in range(0, len(payload), 32)])
        done = len(self.seeds) == len(e["survivors"])
        self.expected = {b"rost", b"entr", b"seal"} if done else {b"seed"}

    def _close(self):
        """The round before: its sum, when the updates are there."""
        e = self.entry
        self.entry = None
        if e is None:
            return
        self.whole = self.whole and bool(self.updates)
        if not self.whole:
            return
        self.optimizer.step(gradient(self.plan, self.lattice, e["groups"], e["survivors"],
                                     self.updates, self.seeds))
        need(digests.model_hash(step.put_floats(self.optimizer.state)) == e["model_after"],
             f"round {e['round']}: the sum does not give the model")
        self.recomputed += 1

    def _seal(self, payload, before):
        c, f = Cursor(payload), self.trust.federation
        entries, head, time = c.number(8), c.take(32), c.number(8)
        certificate = c.take(c.number(4))
        signature = c.take(c.number(1))
        need(c.end() and (entries, head) == (self.entries, self.head), "seal: number or head")
        hub = self.trust.member(certificate, "aggregator", time, past=True)
        identity.check_signature(hub.key, "fedmoe bundle seal v1", digests.seal(
            f, self.plan_hash, before, entries, head, time), signature)
        self.expected = set()


def gradient(plan, lattice, drawn, u, updates, seeds):
    """What a finished round's updates and seeds give: of one sum, or of the groups' sums; raises Refused."""
    sums, too_long = [], 0
    for group in drawn:
        of = [i for i, node in enumerate(u) if node in group]
        values, fits = add_up(plan, lattice, group, [u[i] for i in of], [updates[i] for i in of],
                              [seeds[i] for i in of])
        sums.append(values)
        too_long += not fits
    need(too_long <= groups.spoiled(plan), "a sum that is too long")
    return groups.estimate(plan, sums, step.f32)


def add_up(plan, lattice, p, u, updates, seeds):
    """The sum of the survivors u of p, decoded, and whether it is as short as it must be; raises Refused."""
    n, count, bits = len(p), plans.words(plan), plan["word_bits"]
    mask = (1 << bits) - 1
    of = masks.levels(lattice.sigma, n, groups.quorum(plan), plan["colluders"],
                      plan["noise"] == plans.LOCAL)
    surplus = of[masks.kept(of, n, len(u)):]
    lost = [v for v in p if v not in u]
    total = [0] * count
    for node, update, disclosed in zip(u, updates, seeds):
        need(len(update) == count and len(disclosed) == 1 + len(lost) + len(surplus), "a length")
        total = [(a + b) & mask for a, b in zip(total, update)]
        total = masks.add(total, disclosed[0], -1, bits)
        for v, seed in zip(lost, disclosed[1:]):
            if not masks.edge(seed, plan["mask_density"]):
                continue
            total = masks.add(total, seed, -masks.sign_of(node, v), bits)
        for (_, sigma), seed in zip(surplus, disclosed[1 + len(lost):]):
            noise = masks.Gaussian(sigma).expand(seed, count)
            total = [(a - b) & mask for a, b in zip(total, noise)]
    values = [masks.signed(w, bits) for w in total]
    fits = step.is_short(plan, lattice, of, n, len(u), values)
    return [step.f32(v * 2.0**-lattice.e) for v in values], fits


def verify(data, trust):
    v = Verifier(trust)
    for tag, payload, before, _ in sections(data):
        v.take(tag, payload, before)
    return v


def main():
    with open(sys.argv[2], "rb") as f:
        first, *rest = identity.pem_certificates(f.read())
        trust = identity.Trust(identity.der_of(first))
        for c in rest:
            trust.pin(identity.der_of(c))
    if len(sys.argv) > 3:
        with open(sys.argv[3], "rb") as f:
            for block in identity.pem_blocks(f.read(), "X509 CRL"):
                trust.revise(identity.der_of(x509.load_pem_x509_crl(block)))
    with open(sys.argv[1], "rb") as f:
        v = verify(f.read(), trust)
    print(f"{v.entries} rounds, {v.recomputed} recomputed, head {v.head.hex()}")


if __name__ == "__main__":
    main()
