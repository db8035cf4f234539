#!/usr/bin/env python3
"""Verifies and opens a sealed parcel, from docs/formats/parcel.md alone: a second implementation, for whoever writes a third.

    verify_parcel.py PARCEL --sender CERT.pem [--recipient CERT.pem --key KEY.pem [--out FOLDER]] [--at 2026-11-25T12:00:00Z]
    verify_parcel.py --vectors docs/formats/vectors/parcel

PARCEL is a folder or a ZIP file. Python 3.10 or later with `cryptography` 42 or later; P-384 and RSA recipients. Exit status: 0 it holds, 1 it
does not (the file and why are printed), 2 usage. Reads whole parts into memory, one at a time. Not for evidence: it is an example.
"""
import argparse, datetime, hashlib, io, json, pathlib, re, struct, sys, unicodedata, zipfile, zlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OUTER = ["HOW-TO-OPEN.txt", "bag-info.txt", "bagit.txt", "manifest-sha256.txt"]
TAGS, SEAL, TEMPLATE = "tagmanifest-sha256.txt", "seal/tagmanifest-sha256.txt.p7s", "seal/receipt-template.json"
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
SECTION = ["bag-info.txt", "bagit.txt", "manifest-sha256.txt", "metadata/custody.jsonld", "metadata/custody.pdf",
           "metadata/index.json", "metadata/transfer.json", TAGS, SEAL]


class Refused(Exception):
    def __init__(self, file, why):
        super().__init__(f"{file}: {why}")
        self.file = file


def need(condition, file, why):
    if not condition:
        raise Refused(file, why)


# --- DER: definite, shortest lengths; what this can't see is written again and compared ---

def head(tag, length):
    if length < 0x80:
        return bytes([tag, length])
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits


def el(tag, *parts):
    body = b"".join(parts)
    return head(tag, len(body)) + body


def set_of(tag, elements):
    return el(tag, *sorted(elements))


def oid(text):
    return el(6, bytes.fromhex(text))


def alg(text, parameters=b""):
    return el(0x30, oid(text), parameters)


class NotDer(Exception):
    pass


class Der:
    def __init__(self, data):
        self.data = memoryview(data)

    def peek(self):
        return self.data[0] if len(self.data) else None

    def split(self, tag):
        d = self.data
        if len(d) < 2 or d[0] & 0x1F == 0x1F or (tag is not None and d[0] != tag):
            raise NotDer
        start, length = 2, d[1]
        if length & 0x80:
            count = length & 0x7F
            digits = bytes(d[2:2 + count])
            start, length = 2 + count, int.from_bytes(digits, "big")
            if not 1 <= count <= 4 or len(digits) != count or digits[0] == 0 or length < 0x80:
                raise NotDer
        if start + length > len(d):
            raise NotDer
        self.data = d[start + length:]
        return d[:start + length], start

    def whole(self, tag=None):
        return bytes(self.split(tag)[0])

    def take(self, tag):
        whole, start = self.split(tag)
        return bytes(whole[start:])

    def enter(self, tag):
        whole, start = self.split(tag)
        return Der(whole[start:])

    def end(self):
        if len(self.data):
            raise NotDer


def attempt(read, *arguments):
    try:
        return read(*arguments)
    except NotDer:
        return None


# --- certificates and signatures ---

DATA, SIGNED = "2a864886f70d010701", "2a864886f70d010702"
SHA256, SHA384, ECDSA384 = "608648016503040201", "608648016503040202", "2a8648ce3d040303"
ATTRIBUTES = {"type": "2a864886f70d010903", "digest": "2a864886f70d010904", "time": "2a864886f70d010905",
              "certificate": "2a864886f70d010910022f"}


def certificates_of(path):
    data = pathlib.Path(path).read_bytes()
    return x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [x509.load_der_x509_certificate(data)]


def der_of(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def issuer_and_serial(certificate):
    tbs = Der(certificate.tbs_certificate_bytes).enter(0x30)
    if tbs.peek() == 0xA0:
        tbs.take(0xA0)
    serial = tbs.take(2)
    tbs.take(0x30)
    return el(0x30, tbs.whole(0x30), el(2, serial))


def usage(certificate):
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def valid(certificate, at):
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def issued_by(certificate, issuer, at):
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    known = {"2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"}
    critical = [e.oid.dotted_string for c in (certificate, issuer) for e in c.extensions if e.critical]
    signs = usage(issuer) is None or usage(issuer).key_cert_sign
    return basic.ca and signs and valid(certificate, at) and valid(issuer, at) and set(critical) <= known


def assemble(certificates, signer, attributes, signature):
    info = el(0x30, el(2, b"\1"), signer, alg(SHA384), set_of(0xA0, attributes), alg(ECDSA384), el(4, signature))
    data = el(0x30, el(2, b"\1"), el(0x31, alg(SHA384)), el(0x30, oid(DATA)), set_of(0xA0, certificates), el(0x31, info))
    return el(0x30, oid(SIGNED), el(0xA0, data))


def run_of(der, most):
    out = []
    while der.peek() is not None and len(out) <= most:
        out.append(der.whole())
    if not 1 <= len(out) <= most:
        raise NotDer
    return out


def read_signature(file):
    message = Der(file).enter(0x30)
    if message.take(6).hex() != SIGNED:
        raise NotDer
    data = message.enter(0xA0).enter(0x30)
    data.take(2), data.take(0x31), data.take(0x30)
    certificates = run_of(data.enter(0xA0), 4)
    info = data.enter(0x31).enter(0x30)
    info.take(2)
    signer = info.whole(0x30)
    info.take(0x30)
    attributes = run_of(info.enter(0xA0), 16)
    info.take(0x30)
    signature = info.take(4)
    values = {}
    for attribute in attributes:
        one = Der(attribute).enter(0x30)
        name, values_set = one.take(6).hex(), one.enter(0x31)
        if name in values:
            raise NotDer
        values[name] = values_set.whole()
        if name in ATTRIBUTES.values():
            values_set.end()
    def value(name, tag):
        one = Der(values.get(ATTRIBUTES[name], b""))
        found = one.take(tag)
        one.end()
        return found
    if values.get(ATTRIBUTES["type"]) != oid(DATA):
        raise NotDer
    ess = Der(value("certificate", 0x30)).enter(0x30).enter(0x30)
    named = ess.enter(0x30).take(6).hex() if ess.peek() == 0x30 else SHA256
    return dict(certificates=certificates, signer=signer, attributes=attributes, signature=signature,
                time=value("time", 0x17).decode("ascii", "replace"), digest=value("digest", 4), ess=(named, ess.take(4)))


def check_signature(content_name, content, name, file, trust):
    found = attempt(read_signature, file)
    need(found, name, "not a signature in the form of this profile")
    try:
        certificates = [x509.load_der_x509_certificate(one) for one in found["certificates"]]
    except ValueError:
        raise Refused(name, "a certificate that can't be read") from None
    leaf = next((c for c in certificates if issuer_and_serial(c) == found["signer"]), None)
    need(leaf, name, "the signer's certificate is not included")
    again = assemble(found["certificates"], found["signer"], found["attributes"], found["signature"])
    need(again == file, name, "not a signature in the form of this profile")
    named, digest = found["ess"]
    make = {SHA256: hashlib.sha256, SHA384: hashlib.sha384}.get(named)
    need(make and make(der_of(leaf)).digest() == digest, name, "its signed attributes name another certificate")
    key, may = leaf.public_key(), usage(leaf)
    p384 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1)
    need(p384 and (may is None or may.digital_signature or may.content_commitment), name, "a key that may not sign parcels")
    try:
        key.verify(found["signature"], set_of(0x31, found["attributes"]), ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        raise Refused(name, "the signature does not verify") from None
    need(re.fullmatch(r"[0-4]\d{11}Z", found["time"]), name, "a signing time that is none")
    at = datetime.datetime.strptime("20" + found["time"], "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    check_trust(leaf, certificates, at, trust, name)
    need(hashlib.sha384(content).digest() == found["digest"], content_name, "altered: its hash is not the signed one")
    return leaf, at


def check_trust(leaf, certificates, at, trust, name):
    senders, now = trust
    need(at <= now + datetime.timedelta(seconds=300), name, "signed after our time")
    need(valid(leaf, at) and valid(leaf, now), name, "the signer's certificate is out of its time")
    last, trusted, rest = leaf, leaf in senders, [c for c in certificates if c != leaf]
    while rest:
        following = next((c for c in rest if issued_by(last, c, now)), None)
        need(following, name, "a certificate has no part in the signature")
        rest.remove(following)
        last, trusted = following, trusted or following in senders
    issued = any(issued_by(last, c, now) for c in senders)
    anchored = issued or last in senders or issued_by(last, last, now)
    need(anchored and (trusted or issued), name, "signed by somebody whom we were not told to trust")


# --- the outer bag ---

def part_path(number):
    return f"data/{number // 1000:03}/part-{number:06}.p7m"


def size_text(size):
    for unit, one in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size >= one:
            tenths = -(-size // (one // 10))
            return f"{tenths // 10}.{tenths % 10} {unit}"
    return f"{-(-size // 1000)} KB"


def common_info(info):
    return (f"Source-Organization: {info['sender']}\nExternal-Identifier: {info['id']}\n"
            f"Bagging-Date: {info['sealed'][:10]}\n")


def read_info(data):
    text = data.decode("utf-8", "replace")
    fields = dict(line.split(": ", 1) for line in text.split("\n") if ": " in line)
    number = r"\d{1,15}"
    forms = {"Source-Organization": r".* \([^(]*\)", "External-Identifier": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
             "Payload-Oxum": r"\d{1,15}\.\d{1,7}", "Seal-Time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "Part-Size": number,
             "Archive-Size": number, "Metadata-Offset": number}
    if not all(re.fullmatch(form, fields.get(name, "")) for name, form in forms.items()):
        return None
    total, parts = map(int, fields["Payload-Oxum"].split("."))
    info = dict(sender=fields["Source-Organization"], id=fields["External-Identifier"], sealed=fields["Seal-Time"], bytes=total,
                parts=parts, rsa=fields.get("Key-Transport") == "RSA-OAEP", part=int(fields["Part-Size"]), archive=int(fields["Archive-Size"]), meta=int(fields["Metadata-Offset"]),
                recipients=re.findall(r"^Recipient-Cert-SHA256: ([0-9a-f]{64})$", text, re.M))
    again = common_info(info) + (
        f"Bag-Size: {size_text(total)}\nPayload-Oxum: {total}.{parts}\nSeal-Profile: 1.0\nSeal-Time: {info['sealed']}\n"
        f"Trusted-Time: none\nPart-Size: {info['part']}\nArchive-Size: {info['archive']}\nMetadata-Offset: {info['meta']}\n"
        + ("Key-Transport: RSA-OAEP\n" if info["rsa"] else "")
        + "".join(f"Recipient-Cert-SHA256: {one}\n" for one in info["recipients"]))
    sound = (1024 <= info["part"] <= 2**28 and parts == -(-info["archive"] // info["part"]) and parts <= 10**6
             and info["meta"] < info["archive"] <= info["meta"] + 2**28 and 1 <= len(info["recipients"]) <= 16
             and info["recipients"] == sorted(info["recipients"]))
    return info if sound and again == text else None


def manifest(data, paths):
    lines = data.split(b"\n")
    if lines.pop() != b"" or len(lines) != len(paths):
        return None
    digests = [line[:64].decode("ascii", "replace") for line in lines]
    same = all(re.fullmatch("[0-9a-f]{64}", digest) and line == f"{digest}  {path}".encode()
               for line, digest, path in zip(lines, digests, paths))
    return digests if same else None


def sha(data):
    return hashlib.sha256(data).hexdigest()


def template(parcel, digest):
    return (f'{{\n  "profile": "bailiwick-receipt/1.0",\n  "parcel": "{parcel}",\n  "digest": "{digest}",\n  "exchange_id": "",\n'
            '  "outcome": "accepted or refused",\n  "checks": [],\n  "at": "",\n  "receiver": { "ori": "", "name": "" },\n'
            '  "person": null,\n  "ledger_entry": null,\n  "ledger_checkpoint": null\n}\n').encode()


def verify(files, trust):
    """All that needs no key. `files` maps each path of the parcel to a function that gives its bytes."""
    def read(path):
        need(path in files, path, "missing")
        return files[path]()
    listed = read(TAGS)
    leaf, at = check_signature(TAGS, listed, SEAL, read(SEAL), trust)
    digests = manifest(listed, OUTER)
    need(digests, TAGS, "not a list of the four files")
    content = {}
    for path, digest in zip(OUTER, digests):
        content[path] = read(path)
        need(sha(content[path]) == digest, path, "altered: its hash is not the signed one")
    need(content["bagit.txt"] == BAGIT, "bagit.txt", "not BagIt 1.0 in UTF-8")
    info = read_info(content["bag-info.txt"])
    need(info, "bag-info.txt", "not in the form of this profile")
    paths = [part_path(n) for n in range(info["parts"])]
    parts = manifest(content["manifest-sha256.txt"], paths)
    need(parts, "manifest-sha256.txt", "not a list of the parts in their order")
    need(read(TEMPLATE) == template(info["id"], sha(listed)), TEMPLATE, "altered")
    expected = {*paths, *OUTER, TAGS, SEAL, TEMPLATE}
    for path in sorted(set(files) - {SEAL + ".tsr"}):  # a time-stamp authority's word is not looked at
        need(path in expected, path, "not listed in the signed manifest")
    for path in sorted(expected):
        need(path in files, path, "missing")
    total = 0
    for path, digest in zip(paths, parts):
        data = read(path)
        need(sha(data) == digest, path, "altered: its hash is not the signed one")
        keys_fit(path, data, info)
        total += len(data)
    need(total == info["bytes"], "bag-info.txt", "not the bytes of all parts")
    return dict(info=info, parts=parts, digest=sha(listed), leaf=leaf, at=at, read=read, trust=trust)


# --- a part ---

WRAP, GCM, EC_KEY, ECDH, AUTH = ("60864801650304012d", "60864801650304012e", "2a8648ce3d0201", "2b8104010b02",
                                 "2a864886f70d0109100117")
OAEP, MGF1 = "2a864886f70d010107", "2a864886f70d010108"
KEM, HKDF = "2a864886f70d0109100d03", "2a864886f70d010910031c"
RSA = "rsa"
SHARED = bytes.fromhex("3015300b060960864801650304012da206040400000100")


def read_recipient(infos):
    """One RecipientInfo: its recipient, the wrapped key, the ephemeral point (`RSA`, or none for ML-KEM), and the whole written again."""
    if infos.peek() == 0xA1:
        info = infos.enter(0xA1)
        info.take(2)
        public = info.enter(0xA0).enter(0xA1)
        public.take(0x30)
        bits = public.take(3)
        info.take(0x30)
        encrypted = info.enter(0x30).enter(0x30)
        who, key = encrypted.whole(0x30), encrypted.take(4)
        if bits[:1] != b"\0" or len(bits) != 98 or len(key) != 40:
            raise NotDer
        origin = el(0xA0, el(0xA1, alg(EC_KEY), el(3, bits)))
        keys = el(0x30, el(0x30, who, el(4, key)))
        return who, key, bits[1:], el(0xA1, el(2, b"\3"), origin, alg(ECDH, alg(WRAP)), keys)
    if infos.peek() == 0x30:
        info = infos.enter(0x30)
        info.take(2)
        who = info.whole(0x30)
        info.take(0x30)
        key = info.take(4)
        if not 256 <= len(key) <= 1024:
            raise NotDer
        hashed = alg(SHA256)
        how = alg(OAEP, el(0x30, el(0xA0, hashed), el(0xA1, alg(MGF1, hashed))))
        return who, key, RSA, el(0x30, el(2, b"\0"), who, how, el(4, key))
    other = infos.enter(0xA4)
    if other.take(6).hex() != KEM:
        raise NotDer
    info = other.enter(0x30)
    info.take(2)
    who, kem, sealed = info.whole(0x30), info.enter(0x30).take(6).hex(), info.take(4)
    info.take(0x30), info.take(2)
    material = info.whole(0xA0) if info.peek() == 0xA0 else b""
    info.take(0x30)
    key = info.take(4)
    if {"608648016503040402": 1088, "608648016503040403": 1568}.get(kem) != len(sealed) or len(key) != 40:
        raise NotDer
    body = el(0x30, el(2, b"\0"), who, alg(kem), el(4, sealed), alg(HKDF), el(2, b"\x20"), material, alg(WRAP), el(4, key))
    return who, key, None, el(0xA4, oid(KEM), body)


def read_part(part):
    message = Der(part).enter(0x30)
    if message.take(6).hex() != AUTH:
        raise NotDer
    data = message.enter(0xA0).enter(0x30)
    data.take(2)
    infos, recipients = data.enter(0x31), []
    while infos.peek() is not None and len(recipients) <= 16:
        recipients.append(read_recipient(infos))
    encrypted = data.enter(0x30)
    encrypted.take(6)
    cipher = encrypted.enter(0x30)
    if cipher.take(6).hex() != GCM:
        raise NotDer
    nonce, content, mac = cipher.enter(0x30).take(4), encrypted.take(0x80), data.take(4)
    inner = el(0x30, oid(DATA), alg(GCM, el(0x30, el(4, nonce), el(2, b"\x10"))), el(0x80, content))
    body = el(0x30, el(2, b"\0"), set_of(0x31, [one[3] for one in recipients]), inner, el(4, mac))
    again = el(0x30, oid(AUTH), el(0xA0, body))
    if len(nonce) != 12 or len(mac) != 16 or not 1 <= len(recipients) <= 16 or again != part:
        raise NotDer
    return recipients, nonce, content, mac


def keys_fit(path, part, info):
    found = attempt(read_part, part)
    need(not found or info["rsa"] == any(one[2] == RSA for one in found[0]), path, "not with such keys as bag-info.txt tells of")


def open_part(parcel, number, us):
    certificate, key = us
    path, info = part_path(number), parcel["info"]
    data = parcel["read"](path)
    need(sha(data) == parcel["parts"][number], path, "altered: its hash is not the signed one")
    found = attempt(read_part, data)
    need(found, path, "not a part in the form of this profile")
    recipients, nonce, content, mac = found
    need(len(content) == min(info["part"], info["archive"] - number * info["part"]), path, "another length than bag-info.txt gives")
    keys_fit(path, data, info)
    ours = next((one for one in recipients if one[0] == issuer_and_serial(certificate)), None)
    need(ours and ours[2], path, "not addressed to this certificate")
    try:
        if ours[2] == RSA:
            oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
            return AESGCM(key.decrypt(ours[1], oaep)).decrypt(nonce, content + mac, None)
        secret = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), ours[2]))
        kek = hashlib.sha384(secret + b"\0\0\0\1" + SHARED).digest()[:32]
        return AESGCM(keywrap.aes_key_unwrap(kek, ours[1])).decrypt(nonce, content + mac, None)
    except (ValueError, keywrap.InvalidUnwrap, InvalidTag):
        raise Refused(path, "does not decrypt") from None


# --- the archive and the inner bag ---

def record(key, value):
    bare = len(key) + len(value.encode()) + 3
    length = bare + 1
    while length != bare + len(str(length)):
        length = bare + len(str(length))
    return f"{length} {key}={value}\n".encode()


def ustar(name, size, seconds, kind):
    block = bytearray(512)
    for at, value in ((0, name), (100, "0000644"), (108, "0000000"), (116, "0000000"), (124, f"{size:011o}"),
                      (136, f"{seconds:011o}"), (148, " " * 8), (156, kind), (257, "ustar\0" "00"), (329, "0000000"), (337, "0000000")):
        block[at:at + len(value.encode())] = value.encode()
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def pax(path, size, seconds):
    long_name, long_file, out = len(path.encode()) > 100 or not path.isascii(), size >= 2**33, b""
    if long_name or long_file:
        records = (record("path", path) if long_name else b"") + (record("size", str(size)) if long_file else b"")
        out = ustar("inner/PaxHeaders", len(records), seconds, "x") + records + bytes(-len(records) % 512)
    return out + ustar("inner/long-name" if long_name else path, 0 if long_file else size, seconds, "0")


HIDDEN = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
                    "\ufff9-\ufffb\U000e0000-\U000e0fff]")
DEVICE = re.compile("(CON|PRN|AUX|NUL|CONIN\\$|CONOUT\\$|(COM|LPT)[0-9¹²³])", re.I)


def is_path(path):
    def good(name):
        return (name not in ("", ".", "..") and len(name.encode()) <= 255 and name == name.strip() and not name.endswith(".")
                and not any(unicodedata.category(c) == "Cc" or c in '\\%:"<>|?*' for c in name) and not HIDDEN.search(name)
                and not DEVICE.fullmatch(name.split(".")[0].rstrip()))
    return 1 <= len(path.encode("utf-8", "replace")) <= 1024 and all(map(good, path.split("/")))


def collision_key(path):
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).upper().lower())


def seconds_of(time):
    return int(datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp())


def fits(index, info):
    position, files = 0, index["files"]
    for file in files:
        path, size = file["path"], file["length"]
        if not is_path(path) or size < 0 or not re.fullmatch("[0-9a-f]{64}", file["sha256"]):
            return False
        starts = position + len(pax(f"inner/data/{path}", size, seconds_of(file["modified"])))
        if starts != file["offset"]:
            return False
        position = starts + size + -size % 512
    paths = [file["path"] for file in files]
    keys = {collision_key(path) for path in paths}
    folders = {key[:at] for key in keys for at in range(len(key)) if key[at] == "/"}
    return (1 <= len(files) <= 100_000 and [p.encode() for p in paths] == sorted({p.encode() for p in paths})
            and len(keys) == len(paths) and not keys & folders and index["profile"] == "1.0" and index["parcel"] == info["id"]
            and index["part_size"] == info["part"] and index["metadata_offset"] == info["meta"] == position
            and len(index["leaves"]) == -(-info["meta"] // info["part"]))


def fitting(check, *arguments):
    try:
        return check(*arguments)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def unlock(parcel, us):
    """The metadata section, checked: gives the index and the tag files."""
    info = parcel["info"]
    first = info["meta"] // info["part"]
    section = b"".join(open_part(parcel, n, us) for n in range(first, info["parts"]))[info["meta"] - first * info["part"]:]
    tags, at, sealed = {}, 0, seconds_of(info["sealed"])
    for path in SECTION:
        file, block = f"inner/{path}", section[at:at + 512]
        # The one that may be missing.
        if path == "metadata/custody.pdf" and not block.startswith(file.encode() + b"\0"):
            continue
        need(re.fullmatch(rb"[0-7]{11}", block[124:135]), file, "not a header of this profile")
        size = int(block[124:135], 8)
        padded = size + -size % 512
        need(block == pax(file, size, sealed) and not any(section[at + 512 + size:at + 512 + padded]), file, "not in the form of this profile")
        tags[path] = section[at + 512:at + 512 + size]
        at += 512 + padded
    need(section[at:] == bytes(1024), "inner", "not the end of this profile's archive")
    leaf, signed = check_signature(f"inner/{TAGS}", tags[TAGS], f"inner/{SEAL}", tags[SEAL], parcel["trust"])
    again = "".join(f"{sha(tags[path])}  {path}\n" for path in SECTION[:-2] if path in tags)
    need(tags[TAGS] == again.encode(), f"inner/{TAGS}", "altered")
    file = "inner/metadata/transfer.json"
    transfer = json.loads(tags["metadata/transfer.json"])
    ours = sha(der_of(us[0]))
    def same():
        sender = transfer["transfer"]["sender"]
        return (transfer["profile"] == "1.0" and transfer.get("key_transport") == ("RSA-OAEP" if info["rsa"] else None) and transfer["parcel"] == info["id"] and ours in transfer["recipient_certificates"]
                and transfer["recipient_certificates"] == info["recipients"] and seconds_of(transfer["sealed_at"]) == sealed
                and signed.timestamp() == sealed and f"{sender['name']} ({sender['ori']})" == info["sender"]
                and transfer["sender_certificate"] == sha(der_of(leaf)) and leaf == parcel["leaf"])
    need(fitting(same), file, "does not agree with the outside, or is for somebody else")
    index = json.loads(tags["metadata/index.json"])
    need(fitting(fits, index, info), "inner/metadata/index.json", "does not fit the archive")
    total = sum(f["length"] for f in index["files"])
    lines = common_info(info) + f"Payload-Oxum: {total}.{len(index['files'])}\nSeal-Profile: 1.0\n"
    need(tags["bag-info.txt"] == lines.encode(), "inner/bag-info.txt", "not what index and transfer say")
    need(tags["bagit.txt"] == BAGIT, "inner/bagit.txt", "not BagIt 1.0")
    listed = "".join(f"{f['sha256']}  data/{f['path']}\n" for f in index["files"])
    need(tags["manifest-sha256.txt"] == listed.encode(), "inner/manifest-sha256.txt", "not what the index says")
    return index, tags


def open_files(parcel, us, index):
    """Each file and its bytes, checked."""
    info, held = parcel["info"], (None, b"")
    def bytes_at(start, end):
        nonlocal held
        out = []
        while start < end:
            number = start // info["part"]
            if held[0] != number:
                plain = open_part(parcel, number, us)
                covered = plain[:info["meta"] - number * info["part"]]
                need(sha(covered) == index["leaves"][number], part_path(number), "altered: not what the sender signed inside")
                held = (number, plain)
            until = min((number + 1) * info["part"], end)
            out.append(held[1][start - number * info["part"]:until - number * info["part"]])
            start = until
        return b"".join(out)
    for file in index["files"]:
        header = pax(f"inner/data/{file['path']}", file["length"], seconds_of(file["modified"]))
        need(bytes_at(file["offset"] - len(header), file["offset"]) == header, file["path"], "another header than the index says")
        data = bytes_at(file["offset"], file["offset"] + file["length"])
        need(sha(data) == file["sha256"], file["path"], "altered: its hash is not the signed one")
        yield file["path"], data


# --- where a parcel's files are ---

def folder_files(folder):
    folder = pathlib.Path(folder)
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    for path in found:
        need(path.is_file() and not path.is_symlink(), str(path.relative_to(folder)), "not a plain file")
    return {path.relative_to(folder).as_posix(): path.read_bytes for path in found}


def zip_files(data):
    """The one form of ZIP: read with `zipfile`, written again from what it found, and compared."""
    try:
        packed = zipfile.ZipFile(io.BytesIO(data))
        entries = [(one.filename, packed.read(one)) for one in sorted(packed.infolist(), key=lambda one: one.header_offset)]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError, zlib.error, struct.error, OverflowError, UnicodeError):
        raise Refused("ZIP", "not the one form of ZIP that holds a parcel") from None
    body, directory = [], []
    offset = 0
    for name, content in entries:
        common = struct.pack("<HHHHIIIHH", 0, 0, 0, 33, zlib.crc32(content), len(content), len(content), len(name), 0)
        local = b"PK\3\4" + struct.pack("<H", 20) + common + name.encode("ascii", "replace")
        far = offset >= 0xFFFFFFFF
        extra = struct.pack("<HHQ", 1, 8, offset) if far else b""
        version = 45 if far else 20
        directory.append(b"PK\1\2" + struct.pack("<HH", 0x300 | version, version) + common[:-2] + struct.pack(
            "<HHHHII", len(extra), 0, 0, 0, 0o100644 << 16, min(offset, 0xFFFFFFFF)) + name.encode("ascii", "replace") + extra)
        body += [local, content]
        offset += len(local) + len(content)
    size, count = sum(map(len, directory)), len(entries)
    tail = b""
    if count >= 0xFFFF or size >= 0xFFFFFFFF or offset >= 0xFFFFFFFF:
        tail = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 0x300 | 45, 45, 0, 0, count, count, size, offset)
        tail += b"PK\6\7" + struct.pack("<IQI", 0, offset + size, 1)
    tail += b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), min(size, 0xFFFFFFFF), min(offset, 0xFFFFFFFF), 0)
    top = entries[0][0].split("/")[0] + "/" if entries else ""
    names = [name for name, _ in entries]
    form = b"".join(body + directory) + tail == data and all(n.startswith(top) for n in names) and len(set(names)) == len(names)
    need(form and entries, "ZIP", "not the one form of ZIP that holds a parcel")
    return {name[len(top):]: (lambda content=content: content) for name, content in entries}


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def private_key(path):
    return serialization.load_pem_private_key(pathlib.Path(path).read_bytes(), None)


# --- the vectors ---

def changed(folder, files, changes):
    """A copy of the files with each change made."""
    files = {path: read() for path, read in files.items()}
    for change in changes:
        match change:
            case {"flip": path, "offset": at, "xor": xor}:
                files[path] = files[path][:at] + bytes([files[path][at] ^ xor]) + files[path][at + 1:]
            case {"cut": path, "length": length}:
                files[path] = files[path][:length]
            case {"put": path, "text": text}:
                files[path] = text.encode()
            case {"remove": path}:
                del files[path]
            case {"copy": path, "from": other}:
                files[path] = (folder / other).read_bytes()
            case {"overlay": other}:
                files.update({path: read() for path, read in folder_files(folder / other).items()})
            case _:
                raise SystemExit(f"no such change: {change}")
    return {path: (lambda data=data: data) for path, data in files.items()}


def judge(files, trust, us):
    parcel = verify(files, trust)
    return parcel, [[path, sha(data)] for path, data in open_files(parcel, us, unlock(parcel, us)[0])] if us else None


def vectors(folder):
    folder = pathlib.Path(folder)
    index = json.loads((folder / "index.json").read_text())
    us = certificates_of(folder / index["recipient"])[0], private_key(folder / index["key"])
    good = folder_files(folder / index["parcel"])
    wrong = total = 0
    def tell(right, what):
        nonlocal wrong, total
        total += 1
        if not right:
            wrong += 1
            print(f"wrong: {what}")
    trust = certificates_of(folder / index["sender"]), moment(index["at"])
    parcel, files = judge(good, trust, us)
    tell(parcel["digest"] == index["digest"] and files == index["files"], "the good parcel")
    for change in index["changes"]:
        trust = certificates_of(folder / change.get("sender", index["sender"])), moment(change.get("at", index["at"]))
        found = changed(folder, good, change["do"])
        try:
            if change["key"]:
                judge(found, trust, None)
            judge(found, trust, us if change["key"] else None)
            tell(False, f"{change}: it holds")
        except Refused as refused:
            tell(refused.file == change["names"], f"{change}: {refused}")
    data = (folder / index["zip"]).read_bytes()
    trust = certificates_of(folder / index["sender"]), moment(index["at"])
    tell(judge(zip_files(data), trust, us)[1] == index["files"], "the good ZIP")
    for change in index["zip_changes"]:
        bad = data[:change["cut"]] if "cut" in change else bytearray(data)
        if "flip" in change:
            bad[change["flip"]] ^= change["xor"]
        try:
            judge(zip_files(bytes(bad)), trust, None)
            tell(False, f"ZIP {change}: it holds")
        except Refused:
            tell(True, "")
    print(f"{total - wrong} of {total} judged as the index says")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("parcel", nargs="?")
    for name in ("sender", "recipient", "key", "out", "at", "vectors"):
        parser.add_argument(f"--{name}")
    given = parser.parse_args()
    if given.vectors:
        return vectors(given.vectors)
    if not given.parcel or not given.sender or bool(given.recipient) != bool(given.key):
        parser.error("a parcel, --sender, and both of --recipient and --key or neither")
    now = moment(given.at) if given.at else datetime.datetime.now(datetime.timezone.utc)
    try:
        place = pathlib.Path(given.parcel)
        files = folder_files(place) if place.is_dir() else zip_files(place.read_bytes())
        parcel = verify(files, (certificates_of(given.sender), now))
        print(f"holds: parcel {parcel['info']['id']}, digest {parcel['digest']}")
        if given.key:
            us = certificates_of(given.recipient)[0], private_key(given.key)
            index, tags = unlock(parcel, us)
            out = pathlib.Path(given.out) / "inner" if given.out else None
            for path, data in open_files(parcel, us, index):
                print(f"{sha(data)}  {path}")
                if out:
                    target = out / "data" / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.open("xb").write(data)
    except Refused as refused:
        print(f"refused: {refused}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
