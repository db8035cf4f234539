// The archive inside: pax headers, which are written again and compared; names; the index; SHA-256 of long files.

const HIDDEN = /[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}]/u;
const DEVICE = /^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])$/;
const SPACE = /^\p{White_Space}|\p{White_Space}$/u;

// Whether a path may stand in a parcel (docs/formats/parcel.md §3).
function isPath(path) {
  const bytes = (part) => utf8(part).length;
  if (typeof path !== 'string' || path === '' || bytes(path) > 1024 || path.startsWith('/') || !path.isWellFormed()) return false;
  return path.split('/').every((name) => name !== '' && name !== '.' && name !== '..' && bytes(name) <= 255 &&
    !SPACE.test(name) && !name.endsWith('.') && !/[\p{Cc}\\%:"<>|?*]/u.test(name) && !HIDDEN.test(name) &&
    !DEVICE.test(name.split('.')[0].trimEnd().replace(/[a-z]/g, (letter) => letter.toUpperCase())));
}

const collisionKey = (path) => path.normalize('NFD').toUpperCase().toLowerCase().normalize('NFC');

// Whether two paths are one on some systems, or one is a folder of another.
function conflict(paths) {
  const keys = new Set(paths.map(collisionKey));
  if (keys.size !== paths.length) return true;
  return [...keys].some((key) => {
    for (let at = key.indexOf('/'); at >= 0; at = key.indexOf('/', at + 1)) if (keys.has(key.slice(0, at))) return true;
    return false;
  });
}

const OCTAL_MAX = 2 ** 33 - 1;
const padding = (length) => (512 - (length % 512)) % 512;

function paxRecord(key, value) {
  const bare = utf8(value).length + key.length + 3;
  let length = bare + 1;
  while (length !== bare + String(length).length) length = bare + String(length).length;
  return utf8(`${length} ${key}=${value}\n`);
}

function ustar(name, size, seconds, kind) {
  const block = new Uint8Array(512);
  const put = (at, value) => block.set(utf8(value), at);
  const octal = (value, digits) => value.toString(8).padStart(digits, '0');
  put(0, name);
  put(100, '0000644');
  put(108, '0000000');
  put(116, '0000000');
  put(124, octal(size, 11));
  put(136, octal(seconds, 11));
  put(148, '        ');
  put(156, kind);
  put(257, 'ustar\0' + '00');
  put(329, '0000000');
  put(337, '0000000');
  put(148, `${octal(block.reduce((sum, byte) => sum + byte, 0), 6)}\0 `);
  return block;
}

function paxHeader(path, length, seconds) {
  const longName = utf8(path).length > 100 || /[^\0-\x7f]/.test(path);
  const longFile = length > OCTAL_MAX;
  const out = [];
  if (longName || longFile) {
    const records = concat(longName ? paxRecord('path', path) : [], longFile ? paxRecord('size', String(length)) : []);
    out.push(ustar('inner/PaxHeaders', records.length, seconds, 'x'), records, new Uint8Array(padding(records.length)));
  }
  out.push(ustar(longName ? 'inner/long-name' : path, longFile ? 0 : length, seconds, '0'));
  return concat(...out);
}

const SECTION = ['bag-info.txt', 'bagit.txt', 'manifest-sha256.txt', 'metadata/custody.jsonld', 'metadata/custody.pdf',
  'metadata/index.json', 'metadata/transfer.json', 'tagmanifest-sha256.txt', 'seal/tagmanifest-sha256.txt.p7s'];

// The files of the metadata section: path to bytes.
function readSection(section, seconds) {
  const out = new Map();
  const form = 'not in the form of this profile';
  let at = 0;
  for (const path of SECTION) {
    const file = `inner/${path}`;
    const block = section.subarray(at, at + 512);
    // The one that may be missing.
    if (path === 'metadata/custody.pdf' && text(block.subarray(0, file.length + 1)) !== `${file}\0`) continue;
    const digits = text(block.subarray(124, 135)) ?? '';
    need(/^[0-7]{11}$/.test(digits), file, form);
    const length = parseInt(digits, 8);
    const end = at + 512 + length;
    need(end + padding(length) <= section.length && same(block, paxHeader(file, length, seconds)), file, form);
    need(section.subarray(end, end + padding(length)).every((byte) => byte === 0), file, form);
    out.set(path, section.subarray(at + 512, end));
    at = end + padding(length);
  }
  need(section.length - at === 1024 && section.subarray(at).every((byte) => byte === 0), 'inner', form);
  return out;
}

const hasKeys = (value, keys) => value !== null && typeof value === 'object' && !Array.isArray(value) &&
  Object.keys(value).sort().join() === [...keys].sort().join();

const secondsOf = (time) => (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/.test(time ?? '') ? Date.parse(time) / 1000 : NaN);

// Whether an index describes this archive: order, names, places, and where it ends.
function fits(index, info) {
  if (!hasKeys(index, ['profile', 'parcel', 'part_size', 'metadata_offset', 'files', 'leaves'])) return false;
  const { files, leaves } = index;
  if (!Array.isArray(files) || files.length === 0 || files.length > 100_000 || !Array.isArray(leaves)) return false;
  let position = 0;
  let last = null;
  for (const file of files) {
    const keys = ['path', 'media_type', 'offset', 'length', 'modified', 'sha256'];
    if (!hasKeys(file, keys) || !isPath(file.path) || typeof file.media_type !== 'string') return false;
    const seconds = secondsOf(file.modified);
    if (!Number.isSafeInteger(file.length) || file.length < 0 || !(seconds >= 0) || seconds > OCTAL_MAX) return false;
    if (!/^[0-9a-f]{64}$/.test(file.sha256)) return false;
    const bytes = utf8(file.path);
    if (last && compare(last, bytes) >= 0) return false;
    last = bytes;
    const starts = position + paxHeader(`inner/data/${file.path}`, file.length, seconds).length;
    if (file.offset !== starts) return false;
    position = starts + file.length + padding(file.length);
  }
  return index.profile === '1.0' && index.parcel === info.id && index.part_size === info.partSize &&
    index.metadata_offset === info.metadataOffset && position === info.metadataOffset &&
    leaves.length === Math.ceil(info.metadataOffset / info.partSize) && !conflict(files.map((file) => file.path));
}

// SHA-256 in pieces (FIPS 180-4): the browser's own takes a message at once. A check on what the leaves have shown already.
const ROUND = (() => {
  const out = new Uint32Array(64);
  for (let n = 2, at = 0; at < 64; n += 1) {
    let prime = true;
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) prime = false;
    if (prime) {
      const root = Math.cbrt(n);
      out[at] = Math.floor((root - Math.floor(root)) * 2 ** 32);
      at += 1;
    }
  }
  return out;
})();

class Sha256 {
  constructor() {
    this.state = Uint32Array.of(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
    this.block = new Uint8Array(64);
    this.words = new Uint32Array(64);
    this.length = 0;
  }

  update(bytes) {
    let at = 0;
    while (at < bytes.length) {
      const filled = this.length % 64;
      if (filled === 0 && bytes.length - at >= 64) {
        this.compress(bytes, at);
        at += 64;
        this.length += 64;
        continue;
      }
      const taken = Math.min(64 - filled, bytes.length - at);
      this.block.set(bytes.subarray(at, at + taken), filled);
      at += taken;
      this.length += taken;
      if (this.length % 64 === 0) this.compress(this.block, 0);
    }
  }

  compress(bytes, at) {
    const w = this.words;
    for (let i = 0; i < 16; i += 1) {
      const p = at + i * 4;
      w[i] = (bytes[p] << 24) | (bytes[p + 1] << 16) | (bytes[p + 2] << 8) | bytes[p + 3];
    }
    for (let i = 16; i < 64; i += 1) {
      const x = w[i - 15];
      const y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = this.state;
    for (let i = 0; i < 64; i += 1) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) this.state[i] += value;
  }

  finish() {
    const bits = this.length * 8;
    const tail = new Uint8Array(((this.length % 64 < 56 ? 56 : 120) - (this.length % 64)) + 8);
    tail[0] = 0x80;
    const view = new DataView(tail.buffer);
    view.setUint32(tail.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(tail.length - 4, bits % 2 ** 32);
    this.update(tail);
    return Array.from(this.state, (word) => word.toString(16).padStart(8, '0')).join('');
  }
}
