"""Join codes and what an enrolment proves: docs/protocol.md, section 4.3."""
import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

import digests
from digests import H, part, u64
from identity import Trust, der_of, fedmoe_uri, is_known_key, is_name, key_fingerprint
from wire import Cursor, Refused, need

PREFIX = "fedmoe1"


def put_code(door_key, ca, token, expires, federation, name, door):
    raw = door_key + ca + token + u64(expires)
    raw += b"".join(bytes([len(t)]) + t.encode() for t in (federation, name, door))
    raw += H("fedmoe join code v1", part(raw))[:4]
    return PREFIX + base64.b32encode(raw).decode().lower().rstrip("=")


def take_code(text):
    text = "".join(ch for ch in text if not ch.isspace() and ch != "-").lower()
    need(text.startswith(PREFIX) and len(text) <= 900, "not a join code of this form")
    body = text[len(PREFIX):]
    try:
        c = Cursor(base64.b32decode(body.upper() + "=" * (-len(body) % 8)))
    except binascii.Error:
        raise Refused("mistyped or cut") from None
    code = {"door_key": c.take(32), "ca": c.take(32), "token": c.take(16), "expires": c.number(8)}
    try:
        for field in ("federation", "name", "door"):
            code[field] = c.take(c.number(1)).decode("ascii")
    except UnicodeDecodeError:
        raise Refused("mistyped") from None
    c.take(4)
    need(c.end() and put_code(**code) == text, "mistyped or cut")
    need(is_name(code["federation"]) and is_name(code["name"]), "names that are none")
    need(0 < code["expires"] < 1 << 63, "no end")
    host, colon, _ = code["door"][6:].rpartition(":")
    need(code["door"].startswith("tcp://") and colon and host
         and all(" " < ch <= "~" and ch not in '"\\' for ch in code["door"]), "no address")
    return code


def token_seed(token):
    return H("fedmoe invitation seed v1", part(token))


def token_key(token):
    return ed25519.Ed25519PrivateKey.from_private_bytes(token_seed(token))


def invitation(token):
    return token_key(token).public_key().public_bytes(serialization.Encoding.Raw,
                                                      serialization.PublicFormat.Raw)


def prove(token, connection, door, request):
    return token_key(token).sign(digests.enrolment(connection, door, invitation(token), request))


def check_proof(invited, connection, door, request, proof):
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(invited).verify(
            proof, digests.enrolment(connection, door, invited, request))
    except InvalidSignature:
        raise Refused("a proof of something else") from None


def request(key, federation, name):
    names = [x509.UniformResourceIdentifier(f"urn:fedmoe:node:{federation}:{name}")]
    b = (x509.CertificateSigningRequestBuilder()
         .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
         .add_extension(x509.SubjectAlternativeName(names), False))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return der_of(b.sign(key, algorithm))


def take_request(der):
    """(role, federation, name, fingerprint of the key)"""
    need(1 <= len(der) <= 4096, "a request of a wrong length")
    r = x509.load_der_x509_csr(der)
    need(der_of(r) == der and is_known_key(r.public_key()) and r.is_signature_valid, "a bad request")
    names = r.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (*fedmoe_uri(names), key_fingerprint(r.public_key()))


def check_enrolled(code, key, answer, now):
    """The trust that the answer gives, and the certificate's DER; raises Refused."""
    trust = Trust(answer["authority"])
    need(trust.fingerprint == code["ca"], "another CA than the code's")
    if answer["revocations"]:
        trust.revise(answer["revocations"])
    if answer["successor"]:
        trust.succeed(answer["successor"], now)
        if answer["successor_revocations"]:
            trust.revise(answer["successor_revocations"])
    member = trust.member(answer["certificate"], "node", now)
    need((member.federation, member.name) == (code["federation"], code["name"]), "of another name")
    need(key_fingerprint(member.key) == key_fingerprint(key.public_key()), "for another key")
    return trust, answer["certificate"]
