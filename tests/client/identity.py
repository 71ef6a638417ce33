"""Certificates, signatures, credentials, revocation lists: docs/protocol.md, section 2."""
import struct
import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

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


# ---- signatures ----

def verify(key, signature, data):
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
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

def load_certificate(der):
    need(1 <= len(der) <= 8192, "a certificate of a wrong length")
    try:
        c = x509.load_der_x509_certificate(der)
        need(der_of(c) == der, "bytes behind the certificate, or not DER")
        need(c.version == x509.Version.v3, "not X.509 v3")
        need(is_known_key(c.public_key()), "a key that is neither Ed25519 nor P-256")
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
    need(thing.signature_algorithm_oid in (SignatureAlgorithmOID.ED25519,
                                           SignatureAlgorithmOID.ECDSA_WITH_SHA256),
         "a signature algorithm that is not allowed")
    verify(key, thing.signature, data)


class Member:
    """A certificate that was verified."""

    def __init__(self, certificate, role, federation, name):
        self.certificate, self.role, self.federation, self.name = certificate, role, federation, name
        self.key = certificate.public_key()

    def valid_at(self, now):
        c = self.certificate
        return seconds(c.not_valid_before) <= now <= seconds(c.not_valid_after)


class Trust:
    """The pinned CA, and the newest revocation list."""

    def __init__(self, der):
        self.certificate = load_certificate(der)
        fields = fedmoe_uri(extension(self.certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME))
        need(len(fields) == 2 and fields[0] == "ca" and is_name(fields[1]), "not a CA's URI")
        check_form(self.certificate, True)
        check_signed(self.certificate, self.certificate.public_key(),
                     self.certificate.tbs_certificate_bytes)
        self.federation, self.fingerprint = fields[1], fingerprint(der)
        self.crl, self.crl_der, self.crl_number = None, b"", 0

    def revise(self, der):
        """True when it is a newer list, and taken; raises Refused. Section 7.1."""
        try:
            crl = x509.load_der_x509_crl(der)
            need(der_of(crl) == der, "bytes behind the revocation list")
            number = crl.extensions.get_extension_for_oid(ExtensionOID.CRL_NUMBER).value.crl_number
        except (ValueError, x509.ExtensionNotFound) as e:
            raise Refused(f"not a revocation list with a number: {e}") from None
        need(crl.issuer == self.certificate.subject, "a revocation list of another CA")
        check_signed(crl, self.certificate.public_key(), crl.tbs_certlist_bytes)
        need(number >= 1 and crl.next_update is not None, "a list without number or end")
        if der == self.crl_der:
            return False
        need(number > self.crl_number, "an older revocation list")
        self.crl, self.crl_der, self.crl_number = crl, der, number
        return True

    def revoked_at(self, c):
        if self.crl is None:
            return None
        entry = self.crl.get_revoked_certificate_by_serial_number(c.serial_number)
        return None if entry is None else seconds(entry.revocation_date)

    def check_now(self, c, now):
        ca = self.certificate
        for one in (c, ca):
            need(seconds(one.not_valid_before) <= now <= seconds(one.not_valid_after),
                 "a certificate that is not valid at the time")
        if self.crl is not None:  # an empty list is false
            need(seconds(self.crl.last_update) <= now <= seconds(self.crl.next_update),
                 "the revocation list has ended")
            need(self.revoked_at(c) is None, "revoked")

    def member(self, der, role, now, past=False):
        """Section 2.1. `past`: lists count by their dates only, section 16."""
        c = load_certificate(der)
        fields = fedmoe_uri(extension(c, ExtensionOID.SUBJECT_ALTERNATIVE_NAME))
        need(len(fields) == 3 and fields[0] in ROLES and is_name(fields[1]) and is_name(fields[2]),
             "not a member's URI")
        check_form(c, False)
        need(c.issuer == self.certificate.subject, "issued by another CA")
        check_signed(c, self.certificate.public_key(), c.tbs_certificate_bytes)
        if past:
            revoked = self.revoked_at(c)
            need(Member(c, *fields).valid_at(now), "not valid at the time")
            need(revoked is None or revoked > now, "revoked before that")
        else:
            self.check_now(c, now)
        need(fields[1] == self.federation, "of another federation")
        need(fields[0] == role, f"of the role {fields[0]}")
        return Member(c, *fields)


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
    member = trust.member(credential["certificate"], role, now)
    s = check_statement(member, credential)
    need(now < s["not_after"] <= now + DAYS_7 + 3600, "a statement that is over, or of the future")
    return member, s


class Identity:
    """Own certificate and key."""

    def __init__(self, certificate_pem, key_pem):
        self.certificate = x509.load_pem_x509_certificate(certificate_pem)
        self.key = serialization.load_pem_private_key(key_pem, None)
        self.der = der_of(self.certificate)
        self.role, self.federation, self.name = fedmoe_uri(
            extension(self.certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME))

    def sign(self, label, message):
        return sign(self.key, label, message)

    def credential(self, curve, x25519, now):
        s = put_statement(self.role, now + DAYS_7, curve, x25519, self.federation, self.name)
        return {"certificate": self.der, "statement": s, "signature": self.sign(STATEMENT, s)}
