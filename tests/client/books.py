"""What a node keeps, each line of it on disk before the next step: docs/protocol.md, section 8.5."""
import json
import os

from digests import H, part
from plan import few_enough
from wire import need


class Book:
    """Lines of JSON; each is on disk when `add` returns."""

    def __init__(self, path):
        self.path = path
        with open(path, "ab"):
            pass
        with open(path, encoding="ascii") as f:
            self.lines = [json.loads(line) for line in f.read().splitlines()]

    def add(self, **line):
        with open(self.path, "a", encoding="ascii") as f:
            f.write(json.dumps(line) + "\n")
            f.flush()
            os.fsync(f.fileno())
        self.lines.append(line)


class Journal:
    """Of one plan: rounds used, committed and released; how far the transcript is known."""

    def __init__(self, book, plan_hash):
        self.book, self.plan = book, plan_hash.hex()

    def _of(self, what):
        return [x for x in self.book.lines if x["plan"] == self.plan and x["what"] == what]

    def _add(self, what, rnd, data=b""):
        self.book.add(plan=self.plan, what=what, round=rnd, data=data.hex())

    def last_used(self):
        return max((x["round"] for x in self._of("used")), default=0)

    def digest_of(self, what, rnd):
        return next((bytes.fromhex(x["data"]) for x in self._of(what) if x["round"] == rnd), None)

    def need_room(self, density):
        """For one more release of the plan: section 11.5."""
        need(few_enough(density, len(self._of("released")) + 1),
             "as many rounds released as masks of some pairs are for")

    def transcript(self):
        heads = self._of("head")
        return (heads[-1]["round"], bytes.fromhex(heads[-1]["data"])) if heads else (0, bytes(32))

    def use(self, rnd):
        need(rnd > self.last_used(), f"round {rnd} was used")
        self._add("used", rnd)

    def commit(self, rnd, digest):
        need(self.digest_of("committed", rnd) is None, f"round {rnd} has a commit")
        self._add("committed", rnd, digest)

    def release(self, rnd, digest):
        need(self.digest_of("released", rnd) is None, f"round {rnd} was released")
        need(self.digest_of("committed", rnd) == digest, f"round {rnd} has another commit")
        self._add("released", rnd, digest)

    def head(self, rnd, head):
        if (rnd, head) != self.transcript():
            self._add("head", rnd, head)


class Ledger:
    """What was spent; the hash of an entry stands for all before it."""

    def __init__(self, book):
        self.book = book

    def heads(self):
        return [bytes.fromhex(x["hash"]) for x in self.book.lines]

    def charge(self, plan_hash, rnd):
        before = self.heads()[-1] if self.book.lines else bytes(32)
        head = H("client ledger", before, plan_hash, part(str(rnd).encode()))
        self.book.add(plan=plan_hash.hex(), round=rnd, hash=head.hex())
        return head
