// DER (X.690), read and written: only what certificates and the two CMS messages of a parcel need.
// Definite, shortest lengths and single-byte tags; what this can't see, callers refuse by writing again and comparing.

const TAG = { BOOLEAN: 0x01, INTEGER: 0x02, BITS: 0x03, OCTETS: 0x04, OID: 0x06, UTC: 0x17, TIME: 0x18, SEQUENCE: 0x30, SET: 0x31 };

class Refusal extends Error {
  // `file` is the file that is wrong; `range` the bytes of the archive that it carries; `inside` pieces of sealed files.
  constructor(file, why, range = null) {
    super(why);
    this.file = file;
    this.range = range;
    this.inside = [];
  }
}

function need(condition, file, why) {
  if (!condition) throw new Refusal(file, why);
}

function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function same(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function unhex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function utf8(text) {
  return new TextEncoder().encode(text);
}

// The text of bytes, or null where they are not UTF-8.
function text(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

// Tag and length for so many bytes of content.
function head(tag, length) {
  if (length < 0x80) return Uint8Array.of(tag, length);
  const bytes = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.of(tag, 0x80 | bytes.length, ...bytes);
}

function element(tag, ...parts) {
  const body = concat(...parts);
  return concat(head(tag, body.length), body);
}

// SET OF in DER order; `tag` is SET or an implicit tag in its place.
function setOf(tag, elements) {
  return element(tag, ...[...elements].sort(compare));
}

const oid = (content) => element(TAG.OID, unhex(content));
const small = (value) => element(TAG.INTEGER, Uint8Array.of(value));
const algorithm = (content, parameters = new Uint8Array()) => element(TAG.SEQUENCE, oid(content), parameters);

// The first element's tag, where its content starts, and how long it says it is; null if that is not DER.
function announce(bytes) {
  if (bytes.length < 2 || (bytes[0] & 0x1f) === 0x1f) return null;
  const first = bytes[1];
  if (first < 0x80) return { tag: bytes[0], start: 2, length: first };
  const count = first & 0x7f;
  const digits = bytes.subarray(2, 2 + count);
  if (count === 0 || count > 4 || digits.length !== count || digits[0] === 0) return null;
  const length = digits.reduce((sum, byte) => sum * 256 + byte, 0);
  return length < 0x80 ? null : { tag: bytes[0], start: 2 + count, length };
}

class NotDer extends Error {}

// A reader over one run of elements. What is not there throws NotDer.
class Der {
  constructor(bytes) {
    this.bytes = bytes;
  }

  get empty() {
    return this.bytes.length === 0;
  }

  is(tag) {
    return this.bytes[0] === tag;
  }

  whole(tag = this.bytes[0]) {
    const found = announce(this.bytes);
    if (!found || found.tag !== tag || found.start + found.length > this.bytes.length) throw new NotDer();
    const taken = this.bytes.subarray(0, found.start + found.length);
    this.bytes = this.bytes.subarray(taken.length);
    return taken;
  }

  take(tag) {
    const whole = this.whole(tag);
    return whole.subarray(announce(whole).start);
  }

  enter(tag) {
    return new Der(this.take(tag));
  }

  end() {
    if (!this.empty) throw new NotDer();
  }
}

// Runs `read`; what is not DER becomes null.
function attempt(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof NotDer) return null;
    throw error;
  }
}

const digest = async (name, bytes) => new Uint8Array(await crypto.subtle.digest(name, bytes));
const sha256 = (bytes) => digest('SHA-256', bytes);
const sha384 = (bytes) => digest('SHA-384', bytes);
