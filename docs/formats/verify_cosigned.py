"""Verifies a cosigned checkpoint, from docs/formats/witness.md alone and with nothing beside Python.

Usage: verify_cosigned.py NOTE --log LOG.vkey [--witness WITNESS.vkey …]
Prints the size and when each witness cosigned; exit 1 where a signature is missing or does not hold.
"""

import argparse
import base64
import hashlib
import struct
import sys

from verify_ledger import signature_holds


def key(text, kind):
    name, wanted, encoded = text.split("+", 2)
    blob = base64.b64decode(encoded, validate=True)
    if blob[:1] != bytes([kind]) or len(blob) != 33:
        raise ValueError(f"{name}: not a key of type {kind}")
    identifier = hashlib.sha256(name.encode() + b"\n" + blob).digest()[:4]
    if identifier.hex() != wanted:
        raise ValueError(f"{name}: the key's id is another")
    return name, identifier, blob[1:]


def blob_of(lines, name, identifier):
    for line in lines:
        dash, who, encoded = line.split(" ")
        blob = base64.b64decode(encoded, validate=True)
        if dash == "\u2014" and who == name and blob[:4] == identifier:
            return blob[4:]
    raise ValueError(f"{name}: no signature")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("note")
    arguments.add_argument("--log", required=True)
    arguments.add_argument("--witness", action="append", default=[])
    given = arguments.parse_args()
    with open(given.note, encoding="utf-8") as file:
        note = file.read()
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    lines = signatures.splitlines()
    try:
        name, identifier, public = key(given.log, 1)
        if text.split("\n")[0] != name:
            raise ValueError("the checkpoint is of another log")
        if not signature_holds(public, text.encode(), blob_of(lines, name, identifier)):
            raise ValueError(f"{name}: the signature does not hold")
        print(f"size {text.split(chr(10))[1]}")
        for witness in given.witness:
            name, identifier, public = key(witness, 4)
            blob = blob_of(lines, name, identifier)
            seconds = struct.unpack(">Q", blob[:8])[0]
            signed = f"cosignature/v1\ntime {seconds}\n{text}".encode()
            if len(blob) != 72 or not signature_holds(public, signed, blob[8:]):
                raise ValueError(f"{name}: the cosignature does not hold")
            print(f"{name} at {seconds}")
    except ValueError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
