#!/bin/sh
# Opens a parcel of the vectors on a Debian that has nothing on it but `openssl`, by the commands of its own HOW-TO-OPEN.txt.
# Needs root, debootstrap and a Debian mirror, and some two minutes: open_on_clean_debian.sh [SUITE]
set -eu
suite=${1:-bookworm}
vectors=$(cd "$(dirname "$0")/vectors/parcel" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=openssl "$suite" "$root" >"$root.log" || { tail -5 "$root.log"; exit 1; }
rm -f "$root.log"
cp -R "$vectors" "$root/root/case"
# The command lines are those indented by four spaces; the four of step 0 are filled in.
{
  echo 'cd /root/case/good'
  sed -n 's/^    //p' "$vectors/good/HOW-TO-OPEN.txt" | grep -v '^#' |
    sed 's#^SENDER=.*#SENDER=/root/case/sender-ca.pem#; s#^CERT=.*#CERT=/root/case/recipient.pem#
         s#^KEY=.*#KEY=/root/case/recipient.key.pem#; s#^OUT=.*#OUT=/root/opened#'
  echo 'test "$(cat data/Zeugen/*)" = "saw it" && echo "opened on $(openssl version)"'
} >"$root/root/steps.sh"
chroot "$root" sh -e /root/steps.sh
