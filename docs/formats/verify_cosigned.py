"""Verifies a cosigned checkpoint, from docs/formats/witness.md alone and with nothing beside Python.

Usage: verify_cosigned.py NOTE --log LOG.vkey [--witness WITNESS.vkey …]
Prints the size and when each witness cosigned; exit 1 where a signature is missing or does not hold.
"""

import argparse
import struct
import sys

from verify_evidence import key
from verify_ledger import Wrong, checkpoint, signature_holds, signed_note


def cosigned(note, vkey):
    """The newest time, in seconds since 1970, at which this witness cosigned."""
    name, identifier, public = key(vkey, 4)
    text, blobs = signed_note(note)
    ours = [blob[4:] for who, blob in blobs if (who, blob[:4]) == (name, identifier)]
    if not ours:
        raise Wrong(f"{name}: no signature")
    times = []
    for blob in ours:
        seconds = struct.unpack(">Q", blob[:8])[0] if len(blob) == 72 else 0
        signed = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        if len(blob) != 72 or not signature_holds(public, signed, blob[8:]):
            raise Wrong(f"{name}: the cosignature does not hold")
        times.append(seconds)
    return name, max(times)


def verify(note, log, witnesses):
    """The size, and name and time of each witness; or `Wrong`."""
    size, _ = checkpoint(note, *key(log))
    return size, [cosigned(note, witness) for witness in witnesses]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("note")
    arguments.add_argument("--log", required=True)
    arguments.add_argument("--witness", action="append", default=[])
    given = arguments.parse_args()
    try:
        with open(given.note, encoding="utf-8", newline="") as file:
            size, found = verify(file.read(65537), given.log, given.witness)
    except (Wrong, UnicodeDecodeError) as wrong:
        print(f"does not hold: {wrong}")
        return 1
    print(f"size {size}")
    for name, seconds in found:
        print(f"{name} at {seconds}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
