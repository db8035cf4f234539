#!/usr/bin/env python3
"""Judges what a witness kept of a ledger that it refused, from docs/formats/witness.md alone.

    verify_fork.py witness/evidence-0123456789abcdef --key LOG.vkey

Exit 0: the log's own key signed two different trees of one size, which proves two histories without
anybody's word. Exit 1: it proves less than that, and what.
"""

import argparse
import sys

from verify_evidence import key
from verify_ledger import Wrong, checkpoint, sha


def pieces(text):
    """What kind of evidence it is, the note that was known, and the note that was refused."""
    head, _, rest = text.partition("\n")
    if head != f"bailiwick-witness-1 {sha(rest.encode()).hex()}":
        raise Wrong("the digest in the first line is wrong")
    kind, _, rest = rest.partition("\n")
    known, between, refused = rest.partition("\n== refused ==\n")
    if kind not in ("kind two-roots", "kind proof") or not between:
        raise Wrong("not a witness's evidence")
    # A whole request has its proof before the note.
    if refused.startswith("old "):
        refused = refused.partition("\n\n")[2]
    return kind, known, refused


def main():
    parser = argparse.ArgumentParser(description="Judges a witness's evidence against a log.")
    parser.add_argument("file")
    parser.add_argument("--key", required=True)
    options = parser.parse_args()
    try:
        with open(options.file, encoding="utf-8", newline="") as file:
            _, known, refused = pieces(file.read(1 << 20))
        vkey = key(options.key)
        (old, before), (new, after) = checkpoint(known, *vkey), checkpoint(refused, *vkey)
    except (Wrong, UnicodeDecodeError) as wrong:
        print(f"proves nothing: {wrong}")
        return 1
    if old == new and before != after:
        print(f"two histories: {vkey[0]} signed two different trees of {old} entries")
        return 0
    print(f"{vkey[0]} signed {old} and {new} entries; whether one continues the other is for the log to prove")
    return 1


if __name__ == "__main__":
    sys.exit(main())
