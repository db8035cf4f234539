#!/bin/sh
# Renews what is taken from other projects: the compiled USWDS subset with its fonts and icons, and
# axe-core for the browser tests. Needs Node; run it only to upgrade. The results are committed, and
# `cargo test -p xtask` holds every file to the digests in vendored.sha256.
set -eu
uswds=3.14.0
sass=1.108.2
axe=4.14.1

here=$(cd "$(dirname "$0")" && pwd)
assets=$(dirname "$here")
root=$(cd "$here/../../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts "@uswds/uswds@$uswds" "sass@$sass" "axe-core@$axe"
package=node_modules/@uswds/uswds

node_modules/.bin/sass --no-source-map --style=compressed --quiet-deps \
  --silence-deprecation=if-function --load-path="$package/packages" "$here/uswds.scss" body.css
{ printf '/*! USWDS %s, see uswds/LICENSE.md */\n' "$uswds"; cat body.css; } >"$assets/uswds.css"
cp "$package/LICENSE.md" "$here/LICENSE.md"

# Only the icons and fonts that the sheet names.
rm -rf "$assets/img" "$assets/fonts"
grep -o 'url([^)]*)' body.css | tr -d '"' | sed 's/^url(//; s/)$//' | grep . | sort -u |
  while read -r file; do
    mkdir -p "$assets/$(dirname "$file")"
    cp "$package/dist/$file" "$assets/$file"
    chmod 644 "$assets/$file"
  done

mkdir -p "$root/ui-tests/vendor"
cp node_modules/axe-core/axe.min.js "$root/ui-tests/vendor/axe.min.js"
cp node_modules/axe-core/LICENSE "$root/ui-tests/vendor/axe-core.LICENSE"
chmod 644 "$root"/ui-tests/vendor/* "$here/LICENSE.md"

cd "$root"
find crates/web/assets/uswds.css crates/web/assets/uswds/LICENSE.md crates/web/assets/img \
  crates/web/assets/fonts ui-tests/vendor -type f | LC_ALL=C sort |
  xargs sha256sum >crates/web/assets/uswds/vendored.sha256
