"""A node in one session: docs/protocol.md, sections 7 and 8."""
import os
import time

import digests
import groups
import identity
import masks
import plan as plans
import wire
from books import Journal
from link import HEARTBEAT, SILENCE, Ended, Gone, log
from wire import Refused, need


class Round:
    """What a node keeps of the round under way."""

    def __init__(self, start):
        self.number, self.start = start["round"], start
        self.sent, self.until, self.told = 0, wire.FIRST_PIECE, False
        self.update = None  # once it is made
        self.survivors = self.commit = None


class Model:
    """Bytes of a model on their way here, or here: section 8.2."""

    def __init__(self, hash_):
        self.hash, self.data, self.whole = hash_, bytearray(), False

    def take(self, m, size):
        """Whether the piece was taken; raises Refused."""
        if m["model_hash"] != self.hash or self.whole:
            return False
        need(m["at"] == len(self.data) and m["at"] + len(m["piece"]) <= size,
             "a piece in a wrong place")
        self.data += m["piece"]
        if len(self.data) == size:
            need(digests.model_hash(bytes(self.data)) == self.hash, "another model than named")
            exponents = self.data[3::4], self.data[2::4]
            need(all(a & 127 != 127 or b < 128 for a, b in zip(*exponents)), "not finite")
            self.whole = True
        return True


class Session:
    """A node in one session: sections 7 and 8."""

    def __init__(self, node, channel, hub, credential, x25519):
        self.node, self.channel, self.hub = node, channel, hub
        self.credential, self.x25519 = credential, x25519
        self.federation = node.own.federation
        self.plan = self.roster = self.round = self.pending = self.model = None
        self.state = "OFFERED"

    def run(self):
        self.channel.say("Ping")
        pings = 0
        while True:
            try:
                heard = self.channel.hear(0.2)
            except Refused as e:
                raise Gone(f"what came is no message: {e}") from None
            now = time.monotonic()
            if heard:
                self.take(*heard)
            elif now - self.channel.heard > SILENCE:
                raise Gone("the aggregator is silent")
            if now - self.channel.sent > HEARTBEAT:
                pings += 1
                self.channel.say("Ping", sequence=pings)

    STATES = {  # section 6.1
        "PlanOffer": {"OFFERED"},
        "Roster": {"PLANNED", "ROSTERED", "MODEL", "SURVIVORS", "COMMITS"},
        "RoundStart": {"ROSTERED", "MODEL", "SURVIVORS", "COMMITS"},
        "Survivors": {"SURVIVORS"}, "Commits": {"COMMITS"},
        "Ping": {"OFFERED"}, "Revocations": {"OFFERED"},
    }
    STATES.update(dict.fromkeys(("Abandon", "Finish", "ModelPiece", "UpdateWant"), STATES["Roster"]))
    for _any in ("Ping", "Revocations"):
        STATES[_any] = STATES["Roster"] | STATES["PlanOffer"]

    def take(self, name, m):
        if name == "Refusal":
            raise Gone(f"refused: {m['reason']}")
        if name in wire.OF_DOOR:
            raise Gone(f"{name} in a session")
        try:
            need(self.state in self.STATES.get(name, ()), f"it came in the state {self.state}")
            getattr(self, "take_" + name.lower())(m)
        except Refused as e:
            log(f"{name} refused: {e}")

    def take_ping(self, _):
        pass

    def take_revocations(self, m):
        if not self.node.revise(m) or not self.roster:
            return
        self.roster.check_barred(self.node.trust)
        if self.state == "COMMITS" and self.roster.barred & set(self.round.survivors):
            self.abandon("a member of the round was revoked")

    # -- before the first round --

    def take_planoffer(self, m):
        hash_ = digests.plan_hash(m["plan"])
        try:
            plan, lattice = plans.approve(m["plan"], self.federation)
            need(plan["local_steps"] == 0, "local steps, which this client does not make")
            need(plan["purpose"] == self.node.purpose or not self.node.purpose, "another purpose")
        except Refused as e:
            self.channel.say("PlanAnswer", plan_hash=hash_, approved=False, reason=str(e))
            raise Ended(f"the plan is refused: {e}") from None
        self.check_mark(hash_, m["mark"])
        self.plan, self.lattice, self.plan_hash = plan, lattice, hash_
        self.size = 4 * plan["parameters"]
        self.journal = Journal(self.node.journal, hash_)
        self.known, self.head = self.journal.transcript()
        self.model_known = plan["initial_model"] if self.known == 0 else None
        self.channel.say("Join", finished_round=self.known, head=self.head)
        self.channel.say("PlanAnswer", plan_hash=hash_, approved=True)
        self.state = "PLANNED"
        log("plan approved")

    def check_mark(self, hash_, mark):
        if mark is None:
            return
        digest = digests.ledger_mark(self.federation, hash_, mark["round"], mark["head"])
        try:
            identity.check_signature(self.node.own.certificate.public_key(), "fedmoe ledger mark v1",
                                     digest, mark["signature"])
        except Refused:
            return
        if mark["head"] not in self.node.ledger.heads():
            raise Ended("the ledger is older than what this node has signed")

    def take_roster(self, m):
        roster = Roster(self, m)
        self.close()
        self.roster, self.state = roster, "ROSTERED"
        self.channel.say("RosterAnswer", roster_hash=roster.digest)
        log(f"roster of {len(roster.members)} verified")

    # -- a round --

    def view(self):
        s = self.round.start
        return digests.view(self.federation, s["round"], s["session"], s["roster_hash"],
                            s["plan_hash"], s["model_hash"], s["participants"], s["head"])

    def follow(self, m):
        """(round, head, model): what the entries of RoundStart or Finish tell."""
        told = digests.follow(self.known, self.head, m["entries"], m["head"])
        for e in m["entries"]:
            released = self.journal.digest_of("released", e["round"])
            need(released in (None, e["commit_digest"]), "another round than the one released")
        return (told[0], m["head"], told[1]) if told else (self.known, self.head, self.model_known)

    def take_roundstart(self, m):
        p, plan, roster = m["participants"], self.plan, self.roster
        need(m["round"] > max(self.journal.last_used(), self.known), "an old round")
        need((m["session"], m["roster_hash"], m["plan_hash"])
             == (roster.session, roster.digest, self.plan_hash), "of another session or plan")
        digest = digests.round_start(digests.view(
            self.federation, m["round"], m["session"], m["roster_hash"], m["plan_hash"],
            m["model_hash"], p, m["head"]))
        identity.check_signature(self.hub.key, "fedmoe round start v1", digest, m["signature"])
        need(len(p) >= max(self.node.min_cohort, plan["min_cohort"], plan["quorum"]), "too few")
        need(2 * plan["quorum"] > len(p) + plan["colluders"], "too many for the quorum")
        need(p[-1] < len(roster.members) and roster.self in p, "not of this roster, or without us")
        now = int(time.time())
        need(all(roster.members[u].valid_at(now) for u in p), "a certificate has ended")
        need(not roster.barred & set(p), "a participant was revoked")
        self.journal.need_room(plan["mask_density"])
        rnd, head, model = self.follow(m)
        need(m["round"] > rnd, "a round in its own transcript")
        need(model in (None, m["model_hash"]), "not the model that the transcript ends with")
        self.close()
        self.round, self.pending, self.state = Round(m), ("RoundStart", rnd, head, model), "MODEL"
        self.fetch(m["model_hash"])

    def fetch(self, hash_):
        if self.model and self.model.hash == hash_:
            if self.model.whole:
                self.model_is_here()
            return
        self.model = Model(hash_)
        self.channel.say("ModelWant", model_hash=hash_, at=0)

    def take_modelpiece(self, m):
        if not self.model:
            return
        try:
            if not self.model.take(m, self.size):
                return
        except Refused:
            self.model = None
            if self.state == "MODEL" and self.pending[0] == "RoundStart":
                self.abandon("this node could not do its part of the round")
            elif self.state == "MODEL":
                self.state = "ROSTERED"
            raise
        finishes = self.state == "MODEL" and self.pending[0] == "Finish"
        if not (self.model.whole and finishes):
            self.channel.say("ModelWant", model_hash=m["model_hash"], at=len(self.model.data))
        if self.model.whole and self.state == "MODEL":
            self.model_is_here()

    def model_is_here(self):
        what, rnd, head, model = self.pending[:4]
        if rnd:
            self.journal.head(rnd, head)
        self.known, self.head, self.model_known = rnd, head, model
        if what == "Finish":
            self.end()
        else:
            self.make_update()

    def make_update(self):
        r, roster, bits = self.round, self.roster, self.plan["word_bits"]
        p = r.start["participants"]
        self.journal.use(r.number)
        self.node.rounds += 1
        if self.node.rounds == self.node.vanish:
            log(f"round {r.number}: gone, as asked")
            os._exit(0)
        words = [0] * plans.words(self.plan)
        r.groups = groups.draw(self.plan, self.view(), p)
        r.group = next(g for g in r.groups if roster.self in g)
        of = masks.levels(self.lattice.sigma, len(r.group), groups.quorum(self.plan),
                          self.plan["colluders"], self.plan["noise"] == plans.LOCAL)
        r.levels, r.level_seeds = of, [os.urandom(32) for _ in of]
        for (_, sigma), seed in zip(of, r.level_seeds):
            noise = self.node.sampler(sigma).expand(seed, len(words))
            words = [a + b for a, b in zip(words, noise)]
        context = masks.round_context(r.number, self.plan_hash, r.start["model_hash"], p)
        r.self_seed = os.urandom(32)
        words = masks.add(words, r.self_seed, 1, bits)
        r.keys = {v: masks.mask_key(roster.secrets[v], context)
                  for v in r.group if v != roster.self}
        for v, key in r.keys.items():
            if not masks.edge(key, self.plan["mask_density"]):
                continue
            words = masks.add(words, key, masks.sign_of(roster.self, v), bits)
        r.update = masks.bytes_of(words, bits)
        r.hash = digests.update_hash(r.update)
        self.state = "SURVIVORS"
        self.send_update()

    def send_update(self):
        """As far as the aggregator said: section 8.2."""
        r = self.round
        while r.sent < min(r.until, len(r.update)):
            piece = r.update[r.sent:min(r.until, r.sent + 65536)]
            self.channel.say("UpdatePiece", round=r.number, at=r.sent, piece=piece)
            r.sent += len(piece)
        if r.sent == len(r.update) and not r.told:
            digest = digests.update(self.view(), self.roster.self, r.hash)
            self.channel.say("MaskedUpdate", round=r.number,
                             signature=self.node.own.sign("fedmoe update v1", digest))
            r.told = True

    def take_updatewant(self, m):
        r = self.round
        if self.state == "SURVIVORS" and m["round"] == r.number and m["until"] > r.until:
            r.until = m["until"]
            self.send_update()

    def take_survivors(self, m):
        r, roster, u = self.round, self.roster, m["survivors"]
        need(m["round"] == r.number, "of another round")
        need(set(u) <= set(r.start["participants"]), "survivors that took no part")
        need(roster.self in u, "without this node")
        need(len(u) >= max(self.plan["quorum"], self.node.min_cohort), "too few survivors")
        groups.need_quorum(self.plan, r.groups, u)
        need(len(set(r.group) & set(u)) >= self.node.min_cohort, "too few survivors of its group")
        need(not roster.barred & set(u), "a survivor was revoked")
        v = self.view()
        for at, node in enumerate(u):
            need(node != roster.self or m["update_hashes"][at] == r.hash, "not the update sent")
            identity.check_signature(roster.members[node].key, "fedmoe update v1",
                                     digests.update(v, node, m["update_hashes"][at]),
                                     m["update_signatures"][at])
        r.survivors, r.commit = u, digests.commit(v, u, m["update_hashes"])
        self.journal.commit(r.number, r.commit)
        self.channel.say("Commit", round=r.number,
                         signature=self.node.own.sign("fedmoe commit v1", r.commit))
        self.state = "COMMITS"

    def take_commits(self, m):
        r, roster = self.round, self.roster
        need(m["round"] == r.number, "of another round")
        need(len(m["signatures"]) == len(r.survivors), "not of all survivors")
        for node, signature in zip(r.survivors, m["signatures"]):
            identity.check_signature(roster.members[node].key, "fedmoe commit v1", r.commit, signature)
        head = self.node.ledger.charge(self.plan_hash, r.number)
        self.journal.release(r.number, r.commit)
        mark = digests.ledger_mark(self.federation, self.plan_hash, r.number, head)
        lost = [v for v in r.group if v not in r.survivors]
        stay = masks.kept(r.levels, len(r.group), len(r.group) - len(lost))
        self.channel.say("Release", round=r.number, self_seed=r.self_seed,
                         pair_seeds=[{"lost": v, "seed": r.keys[v]} for v in lost],
                         surplus_seeds=r.level_seeds[stay:], ledger_head=head,
                         ledger_signature=self.node.own.sign("fedmoe ledger mark v1", mark))
        log(f"round {r.number} released: {len(r.survivors)} survivors, lost {lost}")
        self.close()

    def take_abandon(self, m):
        need(not self.round or m["round"] == self.round.number, "of another round")
        log(f"round {m['round']} abandoned: {m['reason']}")
        self.close()

    def abandon(self, reason):
        self.channel.say("Abandon", round=self.round.number, reason=reason)
        self.close()

    def close(self):
        """The round's seeds go with it."""
        self.round = None
        if self.state in ("MODEL", "SURVIVORS", "COMMITS"):
            self.state = "ROSTERED"

    # -- the end --

    def take_finish(self, m):
        digest = digests.finish(self.federation, m["rounds"], m["model_hash"], m["head"])
        identity.check_signature(self.hub.key, "fedmoe finish v1", digest, m["signature"])
        told = self.follow(m)
        self.close()
        self.pending, self.state = ("Finish", *told, m["rounds"]), "MODEL"
        self.fetch(m["model_hash"])

    def end(self):
        self.state = "FINISHED"
        if self.node.output:
            with open(self.node.output, "wb") as f:
                f.write(self.model.data)
        self.channel.say("ModelWant", model_hash=self.model.hash, at=self.size)
        raise Ended(f"finished: {self.pending[4]} rounds, model {self.model.hash.hex()}")


class Roster:
    """All members verified, and the pair secrets with them: sections 7.3 and 9.1."""

    def __init__(self, session, m):
        members, node = m["members"], session.node
        need(node.min_cohort <= len(members) <= session.plan["max_nodes"], "too few or too many")
        need(members.count(session.credential) == 1, "our credential is not in it, once")
        self.self, self.session = members.index(session.credential), m["session"]
        now = int(time.time())
        checked = [identity.check_credential(node.trust, c, "node", now) for c in members]
        self.members = [member for member, _ in checked]
        keys = [s["x25519"] for _, s in checked]
        for values in ([x.name for x in self.members], [s["curve"] for _, s in checked], keys):
            need(len(set(values)) == len(values), "something stands in it twice")
        self.digest = digests.roster(m["session"], members)
        self.secrets = [None if v == self.self else masks.pair_secret(
            masks.agree(session.x25519, key), session.federation, self.session, self.digest,
            self.self, v, keys[self.self], key) for v, key in enumerate(keys)]
        self.barred = set()

    def check_barred(self, trust):
        now = int(time.time())
        self.barred = {i for i, x in enumerate(self.members) if not trust.stands(x, now)}
