#!/usr/bin/env python3
"""Verifies a ledger folder from docs/formats/ledger.md alone; the Python standard library is enough.

    verify_ledger.py FOLDER [--expect-size N] [--key VKEY]

Exit 0: it holds, and the newest size and root are printed. Exit 1: what is wrong and where.
"""

import argparse
import base64
import bisect
import datetime
import hashlib
import hmac
import json
import os
import re
import struct
import sys


class Damage(Exception):
    def __init__(self, file, offset, what):
        super().__init__(f"{file} at byte {offset}: {what}")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# Ed25519 verification (RFC 8032 §5.1.7), slow and plain.
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise ValueError("not a point")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signature_holds(public, message, signature):
    try:
        a, r = decompress(public), decompress(signature[:32])
    except ValueError:
        return False
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= Q:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    h = int.from_bytes(digest, "little") % Q
    left, right = multiply(s, BASE), add(r, multiply(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


class Wrong(ValueError):
    pass


def exact(text):
    """Base64 in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong(f"not Base64: {text[:20]}")
    if base64.b64encode(data).decode() != text:
        raise Wrong("Base64 in another spelling")
    return data


def a_hash(text):
    if len(data := exact(text)) != 32:
        raise Wrong("a hash has 32 bytes")
    return data


def is_name(name):
    return name and "+" not in name and not any(c.isspace() or ord(c) < 32 for c in name)


def number(text):
    """A number in its one spelling."""
    if not re.fullmatch("0|[1-9][0-9]{0,19}", text) or int(text) >= 2**64:
        raise Wrong(f"not a number: {text[:30]}")
    return int(text)


def signed_note(note):
    """The text of a signed note, and the name and the bytes of each signature."""
    if len(note.encode()) > 65536 or any(c < " " and c != "\n" for c in note):
        raise Wrong("not a signed note")
    at = note.rfind("\n\n")
    text, lines = note[: at + 1], note[at + 2 :].split("\n")
    if at < 0 or lines.pop() != "" or not 1 <= len(lines) <= 16:
        raise Wrong("not a signed note")
    blobs = []
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not is_name(parts[1]):
            raise Wrong("not a signature line")
        blobs.append((parts[1], exact(parts[2])))
    if any(len(blob) < 5 for _, blob in blobs):
        raise Wrong("not a signature line")
    return text, blobs


def checkpoint(note, name, identifier, public):
    """Size and root of a note that this key has signed."""
    text, blobs = signed_note(note)
    fields = text.split("\n")[:-1]
    if len(fields) < 3 or not fields[0] or "" in fields[3:]:
        raise Wrong("not a checkpoint")
    size, root = number(fields[1]), a_hash(fields[2])
    if fields[0] != name:
        raise Wrong("the checkpoint is of another log")
    ours = [blob[4:] for who, blob in blobs if (who, blob[:4]) == (name, identifier)]
    if not ours:
        raise Wrong("no signature by the key")
    if not all(signature_holds(public, text.encode(), signature) for signature in ours):
        raise Wrong("the signature does not verify")
    return size, root


class Tree:
    """The peaks of the RFC 9162 tree."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, leaf):
        index = self.size
        while index & 1:
            leaf, index = sha(b"\x01", self.peaks.pop(), leaf), index >> 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = sha(b"\x01", peak, root)
        return root


SCHEDULES = {1: "standard", 2: "dissemination", 3: "permanent"}
PERMANENT, STARTED = "permanent-9999-12", 36
BUCKET = re.compile(r"(?:held-(\d{4})-)?((?:standard|dissemination|permanent)-(\d{4})-(\d{2}))")


def next_held(bucket):
    held, home, _, _ = BUCKET.fullmatch(bucket).groups()
    return f"held-{int(held or 0) + 1:04}-{home}"


def due(bucket):
    """The first millisecond after the bucket's month."""
    _, _, year, month = BUCKET.fullmatch(bucket).groups()
    months = int(year) * 12 + int(month)
    first = datetime.datetime(months // 12, months % 12 + 1, 1, tzinfo=datetime.timezone.utc)
    return int(first.timestamp()) * 1000


class Numbers:
    """A list of entries such as `12-14,99`. It is never written out: a short one may name any number of them."""

    def __init__(self, text):
        self.ranges, least = [], 0
        for part in text.split(",") if text else []:
            first, dash, last = part.partition("-")
            first, last = number(first), number(last if dash else first)
            if first < least or first > last or bool(dash) != (first < last):
                raise ValueError("not a list of entries in order")
            least = last + 2
            self.ranges.append((first, last))

    def __contains__(self, entry):
        at = bisect.bisect_right(self.ranges, (entry, 2**64))
        return at > 0 and entry <= self.ranges[at - 1][1]

    def count(self):
        return sum(last - first + 1 for first, last in self.ranges)


class Disposed:
    """A document `disposed/BUCKET`, and the entries that went as the log shows them."""

    def __init__(self, bucket, data):
        at = data.rfind(b"sha256 ")
        if len(data) > 16 << 20:
            raise ValueError("longer than 16 MiB")
        if at < 0 or data[at:] != b"sha256 " + sha(data[:at]).hex().encode() + b"\n":
            raise ValueError("the digest in the last line is wrong")
        lines = data[:at].decode().split("\n")
        names = ["bailiwick-disposed", "entry", "salt", "statement", "kept", ""]
        if [line.split(" ")[0] for line in lines] != names or lines[0] != "bailiwick-disposed 1":
            raise ValueError("not a document of format 1")
        entry, salt, self.text, kept = (line.split(" ", 1)[1] for line in lines[1:5])
        if not re.fullmatch("[0-9a-f]{64}", salt):
            raise ValueError("the salt has 32 bytes")
        self.entry, self.salt, self.said = number(entry), bytes.fromhex(salt), json.loads(self.text)
        fields = ["type", "bucket", "first", "last", "count", "root", "kept", "kept-digest"]
        if list(self.said) != fields or self.text != json.dumps(self.said, separators=(",", ":")):
            raise ValueError("not a statement as it is written")
        # Nothing is made of the list before it is the one that the statement means.
        if self.said["kept-digest"] != sha(kept.encode()).hex():
            raise ValueError("the list of what is kept is not the statement's")
        self.kept = Numbers(kept)
        expected = ("disposition-started", bucket, self.kept.count())
        if tuple(self.said[name] for name in ("type", "bucket", "kept")) != expected:
            raise ValueError("not a statement of the bucket's disposal")
        self.bucket, self.tree, self.first, self.last = bucket, Tree(), None, None
        self.committed = False

    def commit(self, envelope, kind, bucket, at_ms):
        content = self.text.encode()
        label = b"bailiwick/ledger/body/1s" + struct.pack(">BQ", kind, len(content))
        shared = hmac.digest(self.salt, label + content, "sha256")
        self.committed = (kind, bucket) == (STARTED, PERMANENT) and (
            shared == envelope[40:72] and at_ms >= due(self.bucket)
        )

    def add(self, entry, leaf):
        self.first, self.last = entry if self.first is None else self.first, entry
        self.tree.push(leaf)

    def check(self):
        name = f"disposed/{self.bucket}"
        if not self.committed:
            raise Damage(name, 0, "the log does not commit to the statement")
        found = [self.first, self.last, self.tree.size, self.tree.root().hex()]
        if found != [self.said[name] for name in ("first", "last", "count", "root")]:
            raise Damage(name, 0, "what is missing is not what the statement announced")


def padded(length, unit):
    return -(-length // unit) * unit


class Ledger:
    def __init__(self, folder):
        self.folder = folder
        self.patches, self.disposed, self.leftover = {}, {}, []

    def names(self, folder):
        path = os.path.join(self.folder, folder)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def read(self, name, default=None):
        try:
            with open(os.path.join(self.folder, name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            if default is not None:
                return default
            raise Damage(name, 0, "the file is missing")

    def segment(self, name):
        data = bytearray(self.read(name))
        for offset, content in self.patches.get(name, []):
            data.extend(bytes(max(0, offset + len(content) - len(data))))
            data[offset : offset + len(content)] = content
        return bytes(data)

    def segments(self, folder):
        names = sorted(name for name in self.names(folder) if re.fullmatch(r"\d{8,}\.seg", name))
        for number, name in enumerate(names):
            if name != f"{number:08}.seg":
                raise Damage(f"{folder}/{number:08}.seg", 0, "the segment is missing")
        return [f"{folder}/{name}" for name in names]

    def identity(self, key):
        text = self.read("ledger")
        at = text.rfind(b"sha256 ")
        if at < 0 or text[at:] != b"sha256 " + sha(text[:at]).hex().encode() + b"\n":
            raise Damage("ledger", 0, "the digest in the last line is wrong")
        lines = text[:at].decode().splitlines()
        if lines[0] != "bailiwick-ledger 1":
            raise Damage("ledger", 0, "not a ledger of format 1")
        fields = dict(line.split(" ", 1) for line in lines[1:])
        if key and key.strip() != fields["key"]:
            raise Damage("ledger", 0, "the key is not the expected one")
        name, hashed, encoded = fields["key"].split("+", 2)
        blob = base64.b64decode(encoded, validate=True)
        self.key_id = sha(name.encode(), b"\n", blob)[:4]
        if name != fields["origin"] or blob[:1] != b"\x01" or self.key_id.hex() != hashed:
            raise Damage("ledger", 0, "the verifier key is malformed")
        self.origin, self.id, self.public = name, bytes.fromhex(fields["id"]), blob[1:]

    def text(self, size, root):
        return f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()

    def journal_frame(self, data, at):
        head = data[at : at + 64]
        if len(head) < 64 or head[:24] != b"BWJRNFR1" + self.id or any(head[56:]):
            return None
        generation, first, count, ordinal, length, writes = struct.unpack(">QQIIII", head[24:56])
        end = at + 64 + length
        taken = padded(64 + length + 32, 4096)
        if writes > 64 or data[end : end + 32] != sha(data[at:end]):
            return None
        if len(data) < at + taken or any(data[end + 32 : at + taken]):
            return None
        place, out = at + 64, []
        for _ in range(writes):
            (size,) = struct.unpack_from(">H", data, place)
            path = data[place + 2 : place + 2 + size].decode()
            place += 2 + size
            offset, size = struct.unpack_from(">QI", data, place)
            out.append((path, offset, data[place + 12 : place + 12 + size]))
            place += 12 + size
        return generation, ordinal, first, first + count, out, taken

    def journal(self):
        """Lays whole frames over the segments; gives how far any whole frame reaches."""
        data, at, last, reach = self.read("journal"), 0, None, 0
        while frame := self.journal_frame(data, at):
            generation, ordinal, first, size, writes, taken = frame
            follows = ordinal == 0 if last is None else last == (generation, ordinal - 1, first)
            if not follows:
                break
            for path, offset, content in writes:
                self.patches.setdefault(path, []).append((offset, content))
            last, at, reach = (generation, ordinal, size), at + taken, max(reach, size)
        for offset in range(at, len(data), 4096):
            version = data[offset + 7 : offset + 8]
            if data[offset : offset + 7] != b"BWJRNFR" or data[offset + 8 : offset + 24] != self.id:
                continue
            if version != b"1" and version.isalnum():
                raise Damage("journal", offset, "a batch of a format that is not known here")
            if frame := self.journal_frame(data, offset):
                reach = max(reach, frame[3])
        return reach

    def checkpoint(self, file, offset, note):
        try:
            size, root = checkpoint(note.decode(), self.origin, self.key_id, self.public)
        except ValueError as wrong:
            raise Damage(file, offset, str(wrong))
        return size, root, file, offset

    def published(self):
        found, at, data = [], 0, self.read("checkpoints", b"")
        while match := re.compile(rb".+?\n\n.+?\n(?=\n)", re.S).match(data, at):
            try:
                found.append(self.checkpoint("checkpoints", at, match[0]))
            except Damage:
                if match.end() + 1 < len(data):
                    raise Damage("checkpoints", at, "the checkpoint does not hold")
                break
            at = match.end() + 1
        if newest := self.read("checkpoint", b""):
            found.append(self.checkpoint("checkpoint", 0, newest))
        return found

    def disposals(self):
        for bucket in filter(BUCKET.fullmatch, self.names("disposed")):
            try:
                self.disposed[bucket] = Disposed(bucket, self.read(f"disposed/{bucket}"))
            except (ValueError, KeyError, TypeError) as error:
                raise Damage(f"disposed/{bucket}", 0, str(error))

    def place(self, envelope, bucket):
        """The bucket that must have the entry's body; None if it was disposed of."""
        entry, at_ms, _, kind = struct.unpack_from(">QqBB", envelope, 17)
        for one in self.disposed.values():
            if one.entry == entry:
                one.commit(envelope, kind, bucket, at_ms)
        while bucket in self.disposed:
            if entry not in self.disposed[bucket].kept:
                return self.disposed[bucket].add(entry, sha(b"\x00", envelope))
            bucket = next_held(bucket)
        return bucket

    def log(self, published):
        tree, digest, signature, buckets = Tree(), bytes(32), None, {}
        latest, name, at = -(1 << 63), "log/00000000.seg", 0
        due = {}
        for size, root, file, offset in published:
            due.setdefault(size, []).append((root, file, offset))
        hold = lambda: [self.hold(tree, *one) for one in due.pop(tree.size, [])]
        hold()
        names = self.segments("log")
        for number, name in enumerate(names):
            data, at = self.segment(name), 0
            if not any(data):
                if number + 1 < len(names):
                    raise Damage(name, 0, "the segment is empty, yet there is one after it")
                break
            head = b"BWLOGSG1" + self.id + struct.pack(">IIQq", number, len(tree.peaks), tree.size, latest)
            head += tree.root() + digest + (signature or bytes(64)) + b"".join(tree.peaks)
            head += sha(head)
            at = padded(len(head), 16)
            if data[:at] != head.ljust(at, b"\0"):
                raise Damage(name, 0, "the segment's header is not of the log before it")
            while at < len(data) and any(data[at : at + 208]):
                if len(data) < at + 208 + 32:
                    raise Damage(name, at, "no whole frame")
                first, count, length = struct.unpack_from(">QII", data, at + 24)
                end = at + 208 + length
                if data[at : at + 24] != b"BWLOGFR1" + self.id:
                    raise Damage(name, at, "no frame of this ledger")
                if first != tree.size or not 0 < count <= 4096 or length != count * 106:
                    raise Damage(name, at, f"the frame is not the next, of entry {tree.size}")
                if len(data) < at + padded(end + 32 - at, 16):
                    raise Damage(name, at, "the frame is cut")
                if data[end : end + 32] != sha(data[at:end]):
                    raise Damage(name, at, "the frame's digest is wrong")
                if data[at + 48 : at + 112] != digest + tree.root():
                    raise Damage(name, at, "the frame does not follow the one before")
                for place in range(at + 208, end, 106):
                    envelope = data[place + 2 : place + 106]
                    version, ledger, entry, moment = struct.unpack_from(">B16sQq", envelope)
                    latest = max(latest, moment)
                    if (version, ledger, entry) != (1, self.id, tree.size):
                        raise Damage(name, place, "the envelope is not the next")
                    schedule, month = struct.unpack_from(">BI", envelope, 35)
                    bucket = f"{SCHEDULES[schedule]}-{month // 100:04}-{month % 100:02}"
                    if (schedule == 3) != (month == 999912):
                        raise Damage(name, place, "only what is permanent never expires")
                    if bucket := self.place(envelope, bucket):
                        buckets.setdefault(bucket, []).append(entry)
                    tree.push(sha(b"\x00", envelope))
                    hold()
                if data[at + 112 : at + 144] != tree.root():
                    raise Damage(name, at, "the root is not that of the entries")
                signature, digest = data[at + 144 : at + 208], data[end : end + 32]
                if any(data[end + 32 : (at := at + padded(end + 32 - at, 16))]):
                    raise Damage(name, at, "the padding is not zeros")
            if any(data[at:]):
                raise Damage(name, at, "there is a gap before more data")
        if signature and not signature_holds(
            self.public, self.text(tree.size, tree.root()), signature
        ):
            raise Damage(name, at, "the last frame's signature does not verify")
        if due:
            raise Damage(name, at, f"the log ends with {tree.size} entries, {max(due)} were published")
        return tree, buckets, name, at

    def hold(self, tree, root, file, offset):
        if root != tree.root():
            raise Damage(file, offset, "the published root is not the log's")

    def bodies(self, buckets):
        folders = self.names("body")
        keys = [name[:-4] for name in self.names("keys") if name.endswith(".key")]
        leftover = lambda name: name not in buckets and (name in self.disposed or name[:5] == "held-")
        self.leftover = [f"keys/{key}.key" for key in keys if leftover(key)]
        self.leftover += [f"body/{folder}" for folder in folders if leftover(folder)]
        for bucket in sorted({name for name in folders if not leftover(name)} | set(buckets)):
            entries = iter(buckets.get(bucket, []))
            if bucket in buckets:
                key = self.read(f"keys/{bucket}.key")
                if key[:24] != b"BWKEY001" + self.id or len(key) != 116 or key[84:] != sha(key[:84]):
                    raise Damage(f"keys/{bucket}.key", 0, "the key file is not as written")
            if bucket not in folders:
                raise Damage(f"body/{bucket}", 0, "the bodies are missing")
            name, at = f"body/{bucket}", 0
            for name in self.segments(f"body/{bucket}"):
                data, at = self.segment(name), 0
                while at < len(data) and any(data[at : at + 48]):
                    if len(data) < at + 48:
                        raise Damage(name, at, "no whole body")
                    magic, length, entry, digest = struct.unpack_from(">4sIQ32s", data, at)
                    end = at + 48 + length
                    if magic != b"BWB1" or sha(data[at + 48 : end]) != digest:
                        raise Damage(name, at, "the body is not as written")
                    if next(entries, None) != entry:
                        raise Damage(name, at, f"the body of entry {entry} is out of place")
                    following = at + padded(48 + length, 16)
                    if len(data) < following:
                        raise Damage(name, at, "the body is cut")
                    if any(data[end:following]):
                        raise Damage(name, at, "the padding is not zeros")
                    at = following
                if any(data[at:]):
                    raise Damage(name, at, "there is a gap before more data")
            if (missing := next(entries, None)) is not None:
                raise Damage(name, at, f"the body of entry {missing} is missing")

    def verify(self, key, expected):
        self.identity(key)
        published = self.published()
        reach = self.journal()
        self.disposals()
        tree, buckets, name, at = self.log(published)
        if max(expected, reach) > tree.size:
            raise Damage(name, at, f"the log ends with {tree.size} entries, not {max(expected, reach)}")
        for disposed in self.disposed.values():
            disposed.check()
        self.bodies(buckets)
        return tree


def verify(folder, key=None, expected=0):
    """The ledger and its tree; or `Damage`."""
    ledger = Ledger(folder)
    try:
        return ledger, ledger.verify(key, expected)
    except (struct.error, KeyError, ValueError) as error:
        raise Damage(folder, 0, f"not as written: {error}")


def main():
    parser = argparse.ArgumentParser(description="Verifies a ledger folder.")
    parser.add_argument("folder")
    parser.add_argument("--expect-size", type=int, default=0)
    parser.add_argument("--key")
    options = parser.parse_args()
    try:
        ledger, tree = verify(options.folder, options.key, options.expect_size)
    except Damage as damage:
        print(f"damaged: {damage}")
        return 1
    print(f"holds: {tree.size} entries, root {base64.b64encode(tree.root()).decode()}")
    for bucket, disposed in ledger.disposed.items():
        print(f"disposed of: {disposed.tree.size} entries of {bucket}, by entry {disposed.entry}")
    for name in ledger.leftover:
        print(f"left over: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
