#!/bin/sh
# Opens a parcel of the vectors on a Debian that has nothing on it but `openssl`, by the commands of its own HOW-TO-OPEN.txt.
# Needs root, debootstrap, a Debian mirror and some two minutes: open_on_clean_debian.sh [SUITE…]    (bookworm; `make clean-debian`)
set -eu
vectors=$(cd "$(dirname "$0")/vectors/parcel" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root" "$root.log"' EXIT

# A Debian with its security updates, for HOW-TO-OPEN.txt asks for an OpenSSL that has them.
install() {
  suite=$1
  rm -rf "$root"
  debootstrap --variant=minbase --include=openssl "$suite" "$root"
  echo "deb http://security.debian.org/debian-security $suite-security main" >>"$root/etc/apt/sources.list"
  chroot "$root" apt-get update -qq
  chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openssl
}

# The command lines of HOW-TO-OPEN.txt are those indented by four spaces; the four of step 0 are filled in.
steps() {
  echo 'cd /root/case/good'
  sed -n 's/^    //p' "$vectors/good/HOW-TO-OPEN.txt" | grep -v '^#' |
    sed 's#^SENDER=.*#SENDER=/root/case/sender-ca.pem#; s#^CERT=.*#CERT=/root/case/recipient.pem#
         s#^KEY=.*#KEY=/root/case/recipient.key.pem#; s#^OUT=.*#OUT=/root/opened#'
  echo 'test "$(cat data/Zeugen/*)" = "saw it" && echo "opened on Debian $(cat /etc/debian_version), $(openssl version)"'
}

for suite in "${@:-bookworm}"; do
  install "$suite" >"$root.log" 2>&1 || { tail -5 "$root.log"; exit 1; }
  cp -R "$vectors" "$root/root/case"
  steps >"$root/root/steps.sh"
  chroot "$root" sh -e /root/steps.sh
  # A part that somebody touched is found out before anything is decrypted.
  rm -rf "$root/root/opened"
  printf x | dd of="$root/root/case/good/data/000/part-000000.p7m" bs=1 seek=900 conv=notrunc status=none
  if chroot "$root" sh -e /root/steps.sh >"$root.log" 2>&1 || [ -e "$root/root/opened" ]; then
    echo "an altered part was not refused"
    exit 1
  fi
  grep 'part-000000.p7m: FAILED' "$root.log"
done
