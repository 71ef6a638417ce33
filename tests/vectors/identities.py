#!/usr/bin/env python3
"""Keys and certificates of tests/vectors, and certificates and signatures that are good or bad in one
way each, made by other software than ours (the Python package cryptography) from docs/protocol.md,
section 2. usage: identities.py FOLDER. Run once: ECDSA draws a number, so another run gives other bytes.
"""
import datetime
import json
import os
import sys
from hashlib import blake2b, sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

FEDERATION = "heart-2026"
START, END = datetime.datetime(2026, 1, 1), datetime.datetime(2125, 1, 1)
NOW = 1800000000


def seed(name):
    return sha256(b"fedmoe vectors " + name.encode()).digest()


def ed(name):
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed(name))


def p256(name, curve=None):
    return ec.derive_private_key(int.from_bytes(seed(name), "big") >> 8, curve or ec.SECP256R1())


def uri(*fields):
    return x509.UniformResourceIdentifier(":".join(("urn:fedmoe",) + fields))


def usage(*names):
    flags = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment",
                           "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
                           "encipher_only", "decipher_only"), False)
    flags.update(dict.fromkeys(names, True))
    return x509.KeyUsage(**flags)


CA_KEY, OTHER_KEY = ed("ca"), ed("other ca")


def subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def sign(builder, key):
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def certificate(name, key, names, issuer="ca", issuer_key=CA_KEY, start=START, end=END, ca=False,
                path=None, basic=True, use=None, extra=()):
    use = use or (("key_cert_sign", "crl_sign") if ca else ("digital_signature",))
    b = (x509.CertificateBuilder().subject_name(subject(name)).issuer_name(subject(issuer))
         .public_key(key.public_key()).not_valid_before(start).not_valid_after(end)
         .serial_number(int.from_bytes(sha256(repr((name, names, use, len(extra), str(end))).encode())
                                       .digest()[:15], "big"))
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
         .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                        False)
         .add_extension(x509.SubjectAlternativeName(names), False))
    if basic:
        b = b.add_extension(x509.BasicConstraints(ca, path), True)
    if use != ("none",):
        b = b.add_extension(usage(*use), True)
    for value, critical in extra:
        b = b.add_extension(value, critical)
    return sign(b, issuer_key)


def der(c):
    return c.public_bytes(serialization.Encoding.DER)


def node(name="node-x", key=None, names=None, **more):
    return certificate(name, key or ed("x"), names or [uri("node", FEDERATION, name)], **more)


def year(n):
    return datetime.datetime(n, 1, 1)


def cases():
    """(why, certificate's bytes, role, seconds since 1970, accept)"""
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
    dns = x509.DNSName("node-x.example.org")
    good = der(node())
    yield "Ed25519", good, "node", NOW, True
    yield "P-256", der(node(key=p256("x"))), "node", NOW, True
    yield "another alternative name beside the URI", der(node(names=[dns, uri(
        "node", FEDERATION, "node-x")])), "node", NOW, True
    yield "an extension that is not known, not critical", der(node(extra=[(unknown, False)])), \
        "node", NOW, True
    yield "another key usage beside", der(node(use=("digital_signature", "key_agreement"))), "node", \
        NOW, True
    yield "an aggregator", der(node(names=[uri("aggregator", FEDERATION, "node-x")])), \
        "aggregator", NOW, True
    yield "the other role", good, "aggregator", NOW, False
    yield "an aggregator where a node is asked for", der(node(names=[uri(
        "aggregator", FEDERATION, "node-x")])), "node", NOW, False
    yield "before its time", good, "node", 1767225599, False
    yield "after its time", der(node(end=year(2026) + datetime.timedelta(1))), "node", NOW, False
    yield "a byte behind it", good + b"\0", "node", NOW, False
    yield "cut off", good[:-1], "node", NOW, False
    yield "altered", good[:-1] + bytes([good[-1] ^ 1]), "node", NOW, False
    yield "another CA of the same name", der(node(issuer_key=OTHER_KEY)), "node", NOW, False
    yield "signed by itself", der(node(issuer="node-x", issuer_key=ed("x"))), "node", NOW, False
    yield "another federation", der(node(names=[uri("node", "heart-2027", "node-x")])), "node", NOW, \
        False
    yield "no URI", der(node(names=[dns])), "node", NOW, False
    yield "two URIs", der(node(names=[uri("node", FEDERATION, "node-x"), uri(
        "node", FEDERATION, "node-y")])), "node", NOW, False
    yield "a second URI in capitals", der(node(names=[
        uri("node", FEDERATION, "node-x"),
        x509.UniformResourceIdentifier(f"URN:FEDMOE:node:{FEDERATION}:node-y")])), "node", NOW, False
    yield "a URI in capitals", der(node(names=[x509.UniformResourceIdentifier(
        f"URN:fedmoe:node:{FEDERATION}:node-x")])), "node", NOW, False
    for name in ("Node-x", "-node", "node-", "", "a" * 64, "node_x"):
        yield f"the name '{name}'", der(node(names=[uri("node", FEDERATION, name)])), "node", NOW, \
            False
    yield "a name of 63 bytes", der(node(names=[uri("node", FEDERATION, "a" * 63)])), "node", NOW, True
    yield "a field more", der(node(names=[uri("node", FEDERATION, "node-x", "y")])), "node", NOW, False
    yield "an unknown role", der(node(names=[uri("viewer", FEDERATION, "node-x")])), "node", NOW, False
    yield "no basicConstraints", der(node(basic=False)), "node", NOW, False
    yield "a CA that says it is a node", der(node(ca=True)), "node", NOW, False
    yield "no keyUsage", der(node(use=("none",))), "node", NOW, False
    yield "keyUsage without digitalSignature", der(node(use=("key_agreement",))), "node", NOW, False
    yield "keyUsage with cRLSign", der(node(use=("digital_signature", "crl_sign"))), "node", NOW, False
    yield "a critical extension that is not known", der(node(extra=[(unknown, True)])), "node", NOW, \
        False
    yield "P-384", der(node(key=p256("x", ec.SECP384R1()))), "node", NOW, False
    yield "RSA", der(node(key=rsa.generate_private_key(65537, 3072))), "node", NOW, False
    yield "the CA's own", der(CA), "node", NOW, False


def chains():
    """A pinned CA, the CAs that come with a node's certificate, lists of theirs, and the node."""
    root, name = ed("root"), [uri("ca", FEDERATION)]
    one, two, three = p256("one"), p256("two", ec.SECP384R1()), ed("three")
    short, good = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 3072)
    top = certificate("root", root, name, issuer="root", issuer_key=root, ca=True)

    def between(name_, key, issuer, issuer_key, **more):
        return certificate(name_, key, [x509.DNSName("pki.example.org")], issuer=issuer,
                           issuer_key=issuer_key, **{"ca": True, **more})

    def list_of(issuer, key, revoked=()):
        b = (x509.CertificateRevocationListBuilder().issuer_name(subject(issuer)).last_update(START)
             .next_update(END).add_extension(x509.CRLNumber(1), False).add_extension(
                 x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False))
        for c in revoked:
            b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(
                c.serial_number).revocation_date(year(2026)).build())
        return der(sign(b, key)).hex()

    first = between("one", one, "root", root)
    second = between("two", two, "one", one)
    third = between("three", three, "two", two)

    def case(why, accept, leaf, *path, lists_=()):
        return {"why": why, "ca": top.public_bytes(serialization.Encoding.PEM).decode(),
                "path": [der(c).hex() for c in path], "lists": [
                    {"list": list_, "path": [der(c).hex() for c in way]} for list_, way in lists_],
                "node": der(leaf).hex(), "accept": accept}

    def below(issuer, key):
        return node(issuer=issuer, issuer_key=key)

    of_root, of_one = (list_of("root", root), []), (list_of("one", one), [first])
    yield case("none between", True, below("root", root))
    yield case("one between, P-256", True, below("one", one), first)
    yield case("two between, P-384 below P-256", True, below("two", two), second, first)
    yield case("three between", False, below("three", three), third, second, first)
    yield case("one that does not come with it", False, below("one", one))
    yield case("the upper one does not come with it", False, below("two", two), second)
    yield case("RSA of 3072 bits", True, below("rsa", good), between("rsa", good, "root", root))
    yield case("RSA of 2048 bits", False, below("rsa", short), between("rsa", short, "root", root))
    yield case("a path length of 0, with one below", False, below("two", two), second, between(
        "one", one, "root", root, path=0))
    yield case("a path length of 0, with none below", True, below("one", one), between(
        "one", one, "root", root, path=0))
    yield case("a member's certificate between", False, below("one", one), certificate(
        "one", one, [uri("node", FEDERATION, "one")], issuer="root", issuer_key=root))
    yield case("one between that may not sign certificates", False, below("one", one), between(
        "one", one, "root", root, use=("crl_sign",)))
    yield case("one between that is over", False, below("one", one), between(
        "one", one, "root", root, end=year(2026) + datetime.timedelta(9)))
    yield case("one between that another signed", False, below("one", one), between(
        "one", one, "root", OTHER_KEY))
    yield case("a list of each", True, below("one", one), first, lists_=(of_root, of_one))
    yield case("a list of the upper one alone", False, below("one", one), first, lists_=(of_root,))
    yield case("a list of the lower one alone", False, below("one", one), first, lists_=(of_one,))
    yield case("the lower one knows it from its list", True, below("one", one),
               lists_=(of_root, of_one))
    yield case("the one between is revoked", False, below("one", one), first,
               lists_=((list_of("root", root, [first]), []), of_one))
    yield case("the node is revoked", False, below("one", one), first,
               lists_=(of_root, (list_of("one", one, [below("one", one)]), [first])))


def successors():
    """A pinned CA, the new one that it names, and a node of that."""
    new = p256("next")

    def one(why, accept, end=year(2130), by=CA_KEY, of=None, names=None, time=NOW, pinned=None,
            label="fedmoe succession v1"):
        pinned = pinned or CA
        ca = certificate("ca", new, names or [uri("ca", FEDERATION)], issuer_key=new, ca=True, path=0,
                         end=end)
        old = blake2b(part(b"fedmoe certificate") + part(der(of or pinned)), digest_size=32).digest()
        return {"why": why, "ca": pinned.public_bytes(serialization.Encoding.PEM).decode(),
                "authority": der(ca).hex(), "time": time, "accept": accept,
                "signature": signature("", by, label, old + der(ca)).hex(),
                "node": der(node(issuer_key=new)).hex()}

    yield one("as it must be", True)
    yield one("named by another", False, by=OTHER_KEY)
    yield one("named by itself", False, by=new)
    yield one("named as another's successor", False, of=node())
    yield one("another label", False, label="fedmoe statement v1")
    yield one("does not outlive it", False, end=END)
    yield one("of another federation", False, names=[uri("ca", "heart-2027")])
    yield one("no CA's URI", False, names=[uri("node", FEDERATION, "node-x")])
    yield one("the old one is over", False, pinned=certificate(
        "ca", CA_KEY, [uri("ca", FEDERATION)], ca=True, path=0,
        end=year(2026) + datetime.timedelta(9)))
    yield one("the new one is over", False, time=4_999_999_999 + 10**8)


def part(b):
    return len(b).to_bytes(8, "little") + b


def signature(name, key, label, message):
    data = label.encode() + b"\0" + message
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def signatures(certificates):
    for name, key in (("alpha", ed("alpha")), ("delta", p256("delta"))):
        good = signature(name, key, "fedmoe commit v1", b"message")
        for why, label, message, bytes_, accept in (
                ("as it must be", "fedmoe commit v1", b"message", good, True),
                ("another label", "fedmoe update v1", b"message", good, False),
                ("another message", "fedmoe commit v1", b"massage", good, False),
                ("a byte behind it", "fedmoe commit v1", b"message", good + b"\0", False),
                ("cut off", "fedmoe commit v1", b"message", good[:-1], False),
                ("without the zero byte", "fedmoe commit v1", b"message", key.sign(
                    b"fedmoe commit v1message", *(() if name == "alpha" else (
                        ec.ECDSA(hashes.SHA256()),))), False),
                ("no bytes", "fedmoe commit v1", b"message", b"", False)):
            yield {"why": f"{name}: {why}", "certificate": der(certificates[name]).hex(),
                   "label": label, "message": message.hex(), "signature": bytes_.hex(),
                   "accept": accept}


CA = certificate("ca", CA_KEY, [uri("ca", FEDERATION)], ca=True, path=0)


def crl(number, revoked=(), key=CA_KEY, end=END, start=START):
    b = (x509.CertificateRevocationListBuilder().issuer_name(subject("ca")).last_update(start)
         .next_update(end).add_extension(
             x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False))
    if number is not None:
        b = b.add_extension(x509.CRLNumber(number), False)
    for one in revoked:
        b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(
            one.serial_number).revocation_date(year(2026)).build())
    return sign(b, key)


def lists():
    """What comes one after the other to who holds no list; `accept`: node-x is good after it."""
    one, two, four = crl(1), crl(2), crl(4, [node()])
    for why, list_, verdict, accept in (
            ("without a number", der(crl(None)), "refused", True),
            ("signed by another key", der(crl(1, key=OTHER_KEY)), "refused", True),
            ("a byte behind it", der(one) + b"\0", "refused", True),
            ("the first one", der(one), "taken", True),
            ("the same again", der(one), "held", True),
            ("another of the same number", der(crl(1, [node()])), "refused", True),
            ("one that revokes the node, its number higher by three", der(four), "taken", False),
            ("the one between", der(two), "refused", False),
            ("the first one again", der(one), "refused", False),
            ("one that revokes nobody any more", der(crl(5)), "taken", True),
            ("one that has ended", der(crl(6, end=year(2026) + datetime.timedelta(9))), "taken", False),
            ("one that is not valid yet", der(crl(7, start=year(2028))), "taken", False),
            ("nothing", b"", "refused", False)):
        yield {"why": why, "list": list_.hex(), "verdict": verdict, "accept": accept}


def authorities():
    """A CA's certificate, whether it may be pinned, and a node's below it: whether it is good."""
    ec_key, name = p256("ca"), [uri("ca", FEDERATION)]

    def one(why, key, accept, member=True, below=None, **more):
        ca = certificate("ca", key, name, issuer_key=more.pop("issuer_key", key),
                         **{"ca": True, "path": 0, **more})
        return {"why": why, "ca": ca.public_bytes(serialization.Encoding.PEM).decode(),
                "accept": accept, "node": der(below or node(issuer_key=key)).hex(),
                "node_accept": accept and member}

    yield one("Ed25519", CA_KEY, True)
    yield one("P-256", ec_key, True)
    yield one("P-256, a node on P-256", ec_key, True, below=node(key=p256("x"), issuer_key=ec_key))
    yield one("no path length", CA_KEY, True, path=None)
    yield one("not signed by itself", ec_key, False, issuer_key=CA_KEY)
    yield one("without cRLSign", CA_KEY, False, use=("key_cert_sign",))
    yield one("without keyCertSign", CA_KEY, False, use=("crl_sign",))
    yield one("no CA at all", CA_KEY, False, ca=False, path=None)
    yield one("over", CA_KEY, True, member=False, end=year(2026) + datetime.timedelta(9))
    yield one("an authority between", CA_KEY, True, member=False, below=node(
        issuer="between", issuer_key=OTHER_KEY))


def main():
    folder = sys.argv[1]
    os.makedirs(f"{folder}/identities", exist_ok=True)

    def write(name, data):
        with open(f"{folder}/identities/{name}", "wb") as f:
            f.write(data)

    made = {}
    for name in ("alpha", "beta", "gamma", "delta", "hub"):
        key = p256(name) if name == "delta" else ed(name)
        role = "aggregator" if name == "hub" else "node"
        made[name] = certificate(name, key, [uri(role, FEDERATION, name)])
        write(f"{name}.key", key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        write(f"{name}.crt", made[name].public_bytes(serialization.Encoding.PEM))
    write("ca.crt", CA.public_bytes(serialization.Encoding.PEM))
    with open(f"{folder}/certificates.json", "w") as f:
        json.dump({"ca": der(CA).hex(), "federation": FEDERATION,
                   "certificates": [{"why": w, "der": d.hex(), "role": r, "time": t, "accept": a}
                                    for w, d, r, t, a in cases()],
                   "revocations": list(lists()), "authorities": list(authorities()),
                   "chains": list(chains()), "successors": list(successors()),
                   "signatures": list(signatures(made))}, f, indent=1)
        f.write("\n")


main()
