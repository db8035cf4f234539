#!/usr/bin/env python3
"""Verifies evidence of a ledger, one entry or a range, from docs/formats/ledger.md alone.

    verify_evidence.py FILE --key VKEY

The ledger is not needed. Exit 0: it holds, and what it proves is printed. Exit 1: why it proves nothing.
"""

import argparse
import hmac
import struct
import sys

from verify_ledger import Tree, Wrong, a_hash, checkpoint, exact, is_name, number, sha


def key(text, kind=1):
    """Name, id and key of a verifier key: of type 1 a log's, of type 4 a witness's."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise Wrong("not a verifier key")
    name, wanted, encoded = parts
    blob = exact(encoded)
    identifier = sha(name.encode(), b"\n", blob)[:4]
    if not is_name(name) or len(blob) != 33 or blob[0] != kind or identifier.hex() != wanted:
        raise Wrong("not a verifier key")
    return name, identifier, blob[1:]


def entry(data):
    """Ledger, number, leaf and what is said about it, of an entry in evidence."""
    envelope, rest = data[:104], data[104:]
    if len(envelope) != 104:
        raise Wrong("the envelope is too short")
    version, ledger, place, _, stepped, kind, schedule, month = struct.unpack_from(">B16sQqBBBI", envelope)
    year, month_of_year = divmod(month, 100)
    sound = version == 1 and stepped in (0, 1) and schedule in (1, 2, 3)
    sound = sound and (schedule == 3) == (month == 999912)
    if not sound or not 1970 <= year <= 9999 or not 1 <= month_of_year <= 12:
        raise Wrong("not an envelope")
    said = {}
    if rest == b"d":
        return ledger, place, sha(b"\x00", envelope), "disposed of"
    while rest:
        half, salt, rest = rest[:1], rest[1:33], rest[33:]
        if half not in (b"s", b"p") or half in said or (half == b"s" and said) or len(rest) < 8:
            raise Wrong(f"entry {place}: the halves are not as written")
        (length,) = struct.unpack_from(">Q", rest)
        content, rest = rest[8 : 8 + length], rest[8 + length :]
        if len(content) != length:
            raise Wrong(f"entry {place}: a half is cut")
        text = b"bailiwick/ledger/body/1" + half + bytes([kind]) + struct.pack(">Q", length) + content
        said[half] = content, hmac.digest(salt, text, "sha256")
    for half, (_, commitment) in said.items():
        at = 40 if half == b"s" else 72
        if commitment != envelope[at : at + 32]:
            raise Wrong(f"entry {place}: what is disclosed is not what was recorded")
    return ledger, place, sha(b"\x00", envelope), {half: content for half, (content, _) in said.items()}


def after(word, line):
    if not line.startswith(word + " "):
        raise Wrong(f"expected `{word}`, found: {line[:30]}")
    return line[len(word) + 1 :]


def included(place, size, leaf, path, root):
    """RFC 9162, 2.1.3.2."""
    if place >= size:
        raise Wrong("the entry is beyond the checkpoint")
    at, last, found = place, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Wrong("the proof is too long")
        if at & 1 or at == last:
            found = sha(b"\x01", sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = sha(b"\x01", found, sibling)
        at, last = at >> 1, last >> 1
    if last or found != root:
        raise Wrong("the entry is not one that the checkpoint signs for")


def one(lines, rest, vkey):
    _, place, leaf, said = entry(exact(after("extra", lines[1])))
    if number(after("index", lines[2])) != place:
        raise Wrong("the index is not the envelope's")
    path = [a_hash(line) for line in lines[3:]]
    if len(path) > 63:
        raise Wrong("the proof is too long")
    size, root = checkpoint(rest, *vkey)
    included(place, size, leaf, path, root)
    return f"entry {place} of {size}", [(place, said)]


def push_subtree(tree, level, found):
    if tree.size % 2**level:
        raise Wrong("a subtree is out of its place")
    index = tree.size >> level
    while index & 1:
        found, index = sha(b"\x01", tree.peaks.pop(), found), index >> 1
    tree.peaks.append(found)
    tree.size += 2**level


def many(lines, rest, vkey):
    first, _, end = after("range", lines[1]).partition(" ")
    first, end = number(first), number(end)
    if first >= end or end - first > 100000:
        raise Wrong("a range has 1 to 100,000 entries")
    before = first.bit_count()
    tree, at, ledgers, found = Tree(), 2, set(), []
    for line in lines[at : at + before]:
        tree.peaks.append(a_hash(after("before", line)))
    tree.size, at = first, at + before
    for place in range(first, end):
        if at >= len(lines):
            raise Wrong(f"entry {place} is missing")
        ledger, there, leaf, said = entry(exact(after("entry", lines[at])))
        if there != place:
            raise Wrong(f"entry {there} stands in the place of {place}")
        ledgers.add(ledger)
        found.append((place, said))
        tree.push(leaf)
        at += 1
    if len(ledgers) != 1:
        raise Wrong("entries of several ledgers")
    size, root = checkpoint(rest, *vkey)
    if end > size:
        raise Wrong("the range goes beyond the checkpoint")
    for line in lines[at:]:
        level = 0
        while tree.size % 2 ** (level + 1) == 0 and tree.size + 2 ** (level + 1) <= size:
            level += 1
        if tree.size >= size:
            raise Wrong("there is more after than the checkpoint signs for")
        push_subtree(tree, level, a_hash(after("after", line)))
    if tree.size != size or tree.root() != root:
        raise Wrong("the entries are not those that the checkpoint signs for")
    return f"entries {first} to {end - 1} of {size}", found


def verify(data, vkey):
    """What the evidence proves, and what is said about each entry; or `Wrong`."""
    if len(data) > 268435456:
        raise Wrong("longer than 256 MiB")
    try:
        head, empty, rest = data.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise Wrong("not text")
    forms = {"c2sp.org/tlog-proof@v1": one, "bailiwick-ledger-range@v1": many}
    lines = head.split("\n")
    if not empty or lines[0] not in forms or len(lines) < 3:
        raise Wrong("not evidence of a ledger")
    return forms[lines[0]](lines, rest, key(vkey))


def main():
    parser = argparse.ArgumentParser(description="Verifies evidence of a ledger.")
    parser.add_argument("file")
    parser.add_argument("--key", required=True)
    options = parser.parse_args()
    try:
        with open(options.file, "rb") as file:
            what, found = verify(file.read(268435457), options.key)
    except Wrong as wrong:
        print(f"does not hold: {wrong}")
        return 1
    print(f"holds: {what}")
    for place, said in found:
        if said == "disposed of":
            print(f"entry {place}: disposed of, says the one who took the evidence")
            continue
        for half, content in said.items():
            name = {b"s": "shared", b"p": "private"}[half]
            print(f"entry {place} {name}: {content.decode(errors='replace')!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
