"""Certificates, signatures, credentials, revocation lists: docs/protocol.md, section 2."""
import struct
import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtensionOID

from digests import H, part
from wire import Cursor, Refused, need

ROLES = {"node": 1, "aggregator": 2}
DAYS_7 = 7 * 24 * 3600


def is_name(s):
    return (1 <= len(s) <= 63 and s[0] != "-" and s[-1] != "-"
            and all(c in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in s))


def seconds(naive_utc):
    return int(naive_utc.replace(tzinfo=datetime.timezone.utc).timestamp())


def der_of(thing):
    return thing.public_bytes(serialization.Encoding.DER)


def fingerprint(der):
    return H("fedmoe certificate", part(der))


def key_fingerprint(public_key):
    return H("fedmoe key", part(public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)))


def is_known_key(key):
    return (isinstance(key, ed25519.Ed25519PublicKey)
            or isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1")


def is_ca_key(key):
    """Of who signs certificates: 128 bits."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= 3072
    return (isinstance(key, ed25519.Ed25519PublicKey)
            or isinstance(key, ec.EllipticCurvePublicKey)
            and key.curve.name in ("secp256r1", "secp384r1", "secp521r1"))


# ---- signatures ----

def verify(key, signature, data, algorithm=None):
    algorithm = algorithm or hashes.SHA256()
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), algorithm)
        else:
            key.verify(signature, data, ec.ECDSA(algorithm))
    except InvalidSignature:
        raise Refused("a signature that is wrong") from None


def check_signature(key, label, message, signature):
    need(1 <= len(signature) <= 96, "a signature of a wrong length")
    verify(key, signature, label.encode() + b"\0" + message)


def sign(key, label, message):
    data = label.encode() + b"\0" + message
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


# ---- certificates ----

def load_certificate(der, known_key=is_known_key):
    need(1 <= len(der) <= 8192, "a certificate of a wrong length")
    try:
        c = x509.load_der_x509_certificate(der)
        need(der_of(c) == der, "bytes behind the certificate, or not DER")
        need(c.version == x509.Version.v3, "not X.509 v3")
        need(known_key(c.public_key()), "a key of a kind that is not allowed")
        list(c.extensions)
        return c
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as e:
        raise Refused(f"not a certificate: {e}") from None


def extension(c, oid):
    try:
        return c.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        raise Refused(f"the extension {oid._name} is missing") from None


KNOWN = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
         ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER}


def fedmoe_uri(names):
    found = [n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)
             and n.value.lower().startswith("urn:fedmoe:")]
    need(len(found) == 1, f"{len(found)} URIs urn:fedmoe:")
    fields = found[0].split(":")
    need(fields[:2] == ["urn", "fedmoe"], "a URI in capitals")
    return fields[2:]


def check_form(c, is_ca):
    basic, usage = (extension(c, o) for o in (ExtensionOID.BASIC_CONSTRAINTS,
                                              ExtensionOID.KEY_USAGE))
    need(basic.ca == is_ca, "a CA where there must be none, or the other way round")
    if is_ca:
        need(usage.key_cert_sign and usage.crl_sign, "keyUsage")
    else:
        need(usage.digital_signature and not usage.key_cert_sign and not usage.crl_sign, "keyUsage")
    need(all(e.oid in KNOWN or not e.critical for e in c.extensions), "a critical extension")
    extension(c, ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    if not is_ca:
        extension(c, ExtensionOID.AUTHORITY_KEY_IDENTIFIER)


def check_signed(thing, key, data):
    """By who may sign certificates and lists."""
    need(is_ca_key(key), "signed by a key of a kind that is not allowed")
    algorithm = thing.signature_hash_algorithm
    need(algorithm is None or isinstance(algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512)),
         "signed with a hash that is not allowed")
    verify(key, thing.signature, data, algorithm)


def is_issued_by(c, ca):
    if c.issuer != ca.subject:
        return False
    try:
        check_signed(c, ca.public_key(), c.tbs_certificate_bytes)
        return True
    except Refused:
        return False


def load_ca(der):
    """One between; of a pinned one Trust asks for more."""
    need(len(der) <= 4096, "an intermediate CA of a wrong length")
    c = load_certificate(der, is_ca_key)
    check_form(c, True)
    need(c.extensions.get_extension_for_class(x509.BasicConstraints).critical, "not critical")
    return c


class Member:
    """A certificate that was verified."""

    def __init__(self, certificate, role, federation, name, chain, revoked=None):
        self.certificate, self.role, self.federation, self.name = certificate, role, federation, name
        self.key, self.chain, self.revoked = certificate.public_key(), chain, revoked

    def valid_at(self, now):
        return valid(self.certificate, now)


def valid(c, now):
    return seconds(c.not_valid_before) <= now <= seconds(c.not_valid_after)


class Trust:
    """The pinned CAs, one or two, and the newest revocation list of each CA."""

    def __init__(self, der, federation=None):
        self.cas, self.lists, self.known, self.succession = [], {}, [], b""
        self.federation = federation
        self.pin(der)
        self.fingerprint = fingerprint(der)

    def pin(self, der):
        c = load_certificate(der, is_ca_key)
        need(len(self.cas) < 2, "a third CA")
        names = c.extensions
        try:
            fields = fedmoe_uri(names.get_extension_for_class(x509.SubjectAlternativeName).value)
            need(len(fields) == 2 and fields[0] == "ca" and is_name(fields[1]), "not a CA's URI")
            need(self.federation in (None, fields[1]), "a CA of another federation")
            self.federation = fields[1]
        except x509.ExtensionNotFound:
            need(self.federation is not None, "a CA that names no federation")
        check_form(c, True)
        check_signed(c, c.public_key(), c.tbs_certificate_bytes)
        self.cas.append(c)

    def succeed(self, successor, now):
        """True when the new CA is pinned now; raises Refused. Section 2.4."""
        der = successor["authority"]
        if any(der_of(c) == der for c in self.cas):
            return False
        need(len(der) <= 2048, "a successor of a wrong length")
        c = Trust(der).cas[0]
        need(Trust(der).federation == self.federation and valid(c, now), "of another federation or time")
        for old in self.cas:
            try:
                need(is_known_key(old.public_key()) and valid(old, now), "names no successor")
                check_signature(old.public_key(), "fedmoe succession v1",
                                fingerprint(der_of(old)) + der, successor["signature"])
            except Refused:
                continue
            need(c.not_valid_after > old.not_valid_after, "a successor that does not outlive it")
            need(len(self.cas) < 2 or (old is self.cas[1] and not valid(self.cas[0], now)),
                 "a third CA while two are pinned")
            self.cas = [old]
            self.pin(der)
            self.succession = successor["signature"]
            return True
        raise Refused("a new CA that no pinned one has named")

    # -- chains --

    def chain(self, c, links, now=None):
        """From c up to a pinned CA; raises Refused. now None: at any time."""
        def up(one, below):
            for ca in self.cas:
                if is_issued_by(one, ca) and fits(ca, below):
                    return [ca]
            for link in links if below < 2 else ():
                if one.subject != link.subject and is_issued_by(one, link) and fits(link, below):
                    try:
                        return [link, *up(link, below + 1)]
                    except Refused:
                        pass
            raise Refused("not issued by a pinned CA, nor by one between")

        def fits(ca, below):
            most = extension(ca, ExtensionOID.BASIC_CONSTRAINTS).path_length
            return (most is None or below <= most) and (now is None or valid(ca, now))

        found = [c, *up(c, 0)]
        need(now is None or valid(c, now), "a certificate that is not valid at the time")
        return found

    def since(self, c, path=()):
        """The first second in which c and the CAs above it were valid."""
        chain = self.chain(c, [load_ca(d) for d in path] + self.known)
        return max(seconds(one.not_valid_before) for one in chain)

    def know(self, path):
        for der in path:
            c = load_ca(der)
            if c not in self.known:
                self.chain(c, [load_ca(d) for d in path] + self.known)
                self.known.append(c)

    # -- revocation lists --

    @staticmethod
    def key_of(ca):
        return (ca.subject.public_bytes(), key_fingerprint(ca.public_key()))

    def list_of(self, ca):
        return self.lists.get(self.key_of(ca))

    def revise(self, der, path=()):
        """True when it is a newer list, and taken; raises Refused. Section 7.1."""
        try:
            crl = x509.load_der_x509_crl(der)
            need(der_of(crl) == der, "bytes behind the revocation list")
            number = crl.extensions.get_extension_for_oid(ExtensionOID.CRL_NUMBER).value.crl_number
        except (ValueError, x509.ExtensionNotFound) as e:
            raise Refused(f"not a revocation list with a number: {e}") from None
        self.know(path)
        signer = self._signer(crl)
        need(number >= 1 and crl.next_update is not None, "a list without number or end")
        held = self.list_of(signer)
        if held and held[1] == der:
            return False
        need(held is None or number > held[2], "an older revocation list")
        self.lists[self.key_of(signer)] = (crl, der, number)
        return True

    def _signer(self, crl):
        for ca in self.cas + self.known:
            try:
                need(crl.issuer == ca.subject, "another's")
                check_signed(crl, ca.public_key(), crl.tbs_certlist_bytes)
                return ca
            except Refused:
                continue
        raise Refused("a revocation list of another CA")

    def revoked_at(self, chain):
        """When the first of the chain was, if any."""
        dates = []
        for c, ca in zip(chain, chain[1:]):
            held = self.list_of(ca)
            entry = held and held[0].get_revoked_certificate_by_serial_number(c.serial_number)
            if entry is not None and held is not None:
                dates.append(seconds(entry.revocation_date))
        return min(dates, default=None)

    def check_lists(self, chain, now):
        if not self.lists:
            return
        for ca in chain[1:]:
            held = self.list_of(ca)
            need(held is not None, "no revocation list of a CA above it")
            need(seconds(held[0].last_update) <= now <= seconds(held[0].next_update),
                 "a revocation list has ended, or is of the future")
        need(self.revoked_at(chain) is None, "revoked")

    def stands(self, member, now):
        """Whether a member that was verified is good under the lists of now."""
        try:
            self.check_lists(self.chain(member.certificate, member.chain[1:-1] + self.known, now), now)
            return True
        except Refused:
            return False

    # -- members --

    def member(self, der, role, now, past=False, path=()):
        """Section 2.1. `past`: lists count by their dates only, section 16."""
        c = load_certificate(der)
        fields = fedmoe_uri(extension(c, ExtensionOID.SUBJECT_ALTERNATIVE_NAME))
        need(len(fields) == 3 and fields[0] in ROLES and is_name(fields[1]) and is_name(fields[2]),
             "not a member's URI")
        check_form(c, False)
        chain = self.chain(c, [load_ca(d) for d in path] + self.known, now)
        revoked = None
        if past:
            revoked = self.revoked_at(chain)
            need(revoked is None or revoked > now, "revoked before that")
        else:
            self.check_lists(chain, now)
        need(fields[1] == self.federation, "of another federation")
        need(fields[0] == role, f"of the role {fields[0]}")
        return Member(c, *fields, chain, revoked)


# ---- statements and credentials ----

def put_statement(role, not_after, curve, x25519, federation, name):
    return (bytes([1, ROLES[role]]) + struct.pack("<q", not_after) + curve + x25519
            + b"".join(bytes([len(s)]) + s.encode() for s in (federation, name)))


def take_statement(data):
    c = Cursor(data)
    version, role, not_after = c.number(1), c.number(1), struct.unpack("<q", c.take(8))[0]
    curve, x25519 = c.take(32), c.take(32)
    try:
        federation, name = (c.take(c.number(1)).decode("ascii") for _ in range(2))
    except UnicodeDecodeError:
        raise Refused("a name that is none") from None
    need(version == 1 and role in (1, 2) and not_after >= 0 and c.end(), "not a statement")
    need(is_name(federation) and is_name(name), "a name that is none")
    need(curve != bytes(32), "no CURVE key")
    need((x25519 == bytes(32)) == (role == 2), "an X25519 key where there is none, or none")
    return {"role": role, "not_after": not_after, "curve": curve, "x25519": x25519,
            "federation": federation, "name": name}


STATEMENT = "fedmoe statement v1"


def check_statement(member, credential):
    check_signature(member.key, STATEMENT, credential["statement"], credential["signature"])
    s = take_statement(credential["statement"])
    need((s["role"], s["federation"], s["name"])
         == (ROLES[member.role], member.federation, member.name), "a statement about another")
    return s


def check_credential(trust, credential, role, now):
    """(member, statement); raises Refused. Section 2.3."""
    member = trust.member(credential["certificate"], role, now, path=credential["intermediates"])
    s = check_statement(member, credential)
    need(now < s["not_after"] <= now + DAYS_7 + 3600, "a statement that is over, or of the future")
    return member, s


def pem_blocks(data, what):
    """Of a file with several."""
    begin, end = f"-----BEGIN {what}-----".encode(), f"-----END {what}-----".encode()
    return [begin + block.partition(end)[0] + end + b"\n" for block in data.split(begin)[1:]]


def pem_certificates(data):
    return [x509.load_pem_x509_certificate(b) for b in pem_blocks(data, "CERTIFICATE")]


class Identity:
    """Own certificate, those of the CAs between, and key."""

    def __init__(self, certificate_pem, key_pem):
        self.certificate, *path = pem_certificates(certificate_pem)
        self.path = [der_of(c) for c in path]
        self.key = serialization.load_pem_private_key(key_pem, None)
        self.der = der_of(self.certificate)
        self.role, self.federation, self.name = fedmoe_uri(
            extension(self.certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME))

    def sign(self, label, message):
        return sign(self.key, label, message)

    def credential(self, curve, x25519, now):
        s = put_statement(self.role, now + DAYS_7, curve, x25519, self.federation, self.name)
        return {"certificate": self.der, "statement": s, "signature": self.sign(STATEMENT, s),
                "intermediates": self.path}
