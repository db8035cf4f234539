#!/usr/bin/env python3
"""Holds the three verifiers beside this file to the vectors: each must judge as the index says.

    check_vectors.py [FOLDER]

Who writes another verifier puts it in the place of the functions `evidence`, `note` and `folder`.
Exit 0: all judged as they should be. Exit 1: which were not.
"""

import json
import os
import shutil
import struct
import sys
import tempfile

import verify_cosigned
import verify_evidence
import verify_ledger


def evidence(path, key):
    """Whether the evidence holds under this key."""
    with open(path, "rb") as file:
        try:
            verify_evidence.verify(file.read(), key)
        except verify_ledger.Wrong:
            return False
    return True


def note(path, log, witness):
    """When the witness cosigned, in seconds since 1970; or nothing."""
    with open(path, encoding="utf-8", newline="") as file:
        try:
            return verify_cosigned.verify(file.read(), log, [witness])[1][0][1]
        except verify_ledger.Wrong:
            return None


def folder(path, key, size):
    """What is wrong with the folder, or nothing."""
    try:
        verify_ledger.verify(path, key, size)
    except verify_ledger.Damage as damage:
        return str(damage)
    return None


def change(one, here):
    """Makes a change; what is expected of the ledger from then on."""
    path = os.path.join(here, one["file"])
    what = one["do"]
    if what in ("flip", "cut"):
        with open(path, "r+b") as file:
            if what == "cut":
                file.truncate(one["length"])
            else:
                file.seek(one["offset"])
                byte = file.read(1)[0] ^ one["xor"]
                file.seek(one["offset"])
                file.write(bytes([byte]))
    elif what == "put":
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(one["text"])
    elif what == "remove":
        os.remove(path)
    elif what == "copy":
        shutil.copyfile(os.path.join(here, one["from"]), path)
    return {"expect": {"size": one.get("size")}, "key": {"key": one.get("key")}}.get(what, {})


def folders(index, at):
    for ledger in index["folders"]:
        given = {"key": index["key"], "size": ledger["size"]}
        yield ledger["path"], None, folder(os.path.join(at, ledger["path"]), **given)
        for one in ledger["changes"]:
            with tempfile.TemporaryDirectory() as temporary:
                here = os.path.join(temporary, "ledger")
                shutil.copytree(os.path.join(at, ledger["path"]), here)
                found = folder(here, **{**given, **change(one, here)})
            yield f"{ledger['path']}: {one['why']}", one["names"], found


def main():
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors", "ledger")
    at = sys.argv[1] if len(sys.argv) > 1 else beside
    with open(os.path.join(at, "index.json"), encoding="utf-8") as file:
        index = json.load(file)
    judged = []
    for one in index["evidence"]:
        held = evidence(os.path.join(at, one["file"]), index["key"])
        judged.append((held == one["holds"], f"{one['file']}: {one['why']}", held))
    for one in index["cosigned"]["notes"]:
        found = note(os.path.join(at, one["file"]), index["key"], index["cosigned"]["witness"])
        judged.append((found == one["at"], f"{one['file']}: {one['why']}", found))
    for name, wanted, found in folders(index, at):
        right = found is None if wanted is None else found is not None and wanted in found
        judged.append((right, name, found))
    wrong = [one for one in judged if not one[0]]
    for _, name, found in wrong:
        print(f"judged otherwise: {name}: {found}")
    print(f"{len(judged) - len(wrong)} of {len(judged)} judged as the index says")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
