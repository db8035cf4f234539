// X.509 certificates (RFC 5280): what a parcel's checks ask of them.

const OIDS = {
  ecKey: '2a8648ce3d0201',
  p384: '2b81040022',
  p256: '2a8648ce3d030107',
  ecdsa256: '2a8648ce3d040302',
  ecdsa384: '2a8648ce3d040303',
  rsa: '2a864886f70d010101',
  rsa256: '2a864886f70d01010b',
  rsa384: '2a864886f70d01010c',
  rsa512: '2a864886f70d01010d',
  basicConstraints: '551d13',
  keyUsage: '551d0f',
  extendedKeyUsage: '551d25',
  alternativeName: '551d11',
};
const KNOWN_EXTENSIONS = [OIDS.basicConstraints, OIDS.keyUsage, OIDS.extendedKeyUsage, OIDS.alternativeName];
const NAMES = { '550403': 'CN', '55040a': 'O', '55040b': 'OU', '550406': 'C' };

class Certificate {
  static read(der) {
    const found = attempt(() => new Certificate(der));
    if (!found) throw new Refusal('certificate', 'This is not an X.509 certificate in DER.');
    return found;
  }

  constructor(der) {
    this.der = der;
    const outer = new Der(der);
    const body = outer.enter(TAG.SEQUENCE);
    outer.end();
    this.signed = body.whole(TAG.SEQUENCE);
    const outerAlgorithm = body.whole(TAG.SEQUENCE);
    this.algorithm = hex(new Der(outerAlgorithm).enter(TAG.SEQUENCE).take(TAG.OID));
    this.signature = body.take(TAG.BITS);
    body.end();
    const tbs = new Der(this.signed).enter(TAG.SEQUENCE);
    if (tbs.is(0xa0)) tbs.take(0xa0);
    this.serial = tbs.take(TAG.INTEGER);
    if (!same(tbs.whole(TAG.SEQUENCE), outerAlgorithm)) throw new NotDer();
    this.issuer = tbs.whole(TAG.SEQUENCE);
    const validity = tbs.enter(TAG.SEQUENCE);
    [this.from, this.until] = [certificateTime(validity), certificateTime(validity)];
    this.subject = tbs.whole(TAG.SEQUENCE);
    this.key = tbs.whole(TAG.SEQUENCE);
    this.extensions = new Map();
    this.unknownCritical = false;
    while (!tbs.empty) {
      if (tbs.is(0xa3)) this.readExtensions(tbs.enter(0xa3).enter(TAG.SEQUENCE));
      else tbs.whole();
    }
    const key = new Der(this.key).enter(TAG.SEQUENCE);
    const kind = key.enter(TAG.SEQUENCE);
    this.kind = hex(kind.take(TAG.OID));
    this.curve = this.kind === OIDS.ecKey ? hex(kind.take(TAG.OID)) : null;
    this.point = key.take(TAG.BITS).subarray(1);
  }

  readExtensions(list) {
    while (!list.empty) {
      const one = list.enter(TAG.SEQUENCE);
      const id = hex(one.take(TAG.OID));
      const critical = one.is(TAG.BOOLEAN) && one.take(TAG.BOOLEAN)[0] !== 0;
      this.extensions.set(id, one.take(TAG.OCTETS));
      if (critical && !KNOWN_EXTENSIONS.includes(id)) this.unknownCritical = true;
    }
  }

  get isP384() {
    return this.curve === OIDS.p384 && this.point.length === 97 && this.point[0] === 4;
  }

  get isRsa() {
    return this.kind === OIDS.rsa;
  }

  // Bits of keyUsage, from the left; null where the extension is not there.
  usage() {
    const found = this.extensions.get(OIDS.keyUsage);
    if (!found) return null;
    const bits = attempt(() => new Der(found).take(TAG.BITS)) ?? [0, 0];
    return (bit) => ((bits[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0;
  }

  get maySign() {
    const usage = this.usage();
    return !usage || usage(0) || usage(1);
  }

  get isAuthority() {
    const found = this.extensions.get(OIDS.basicConstraints);
    const basic = found && attempt(() => new Der(found).enter(TAG.SEQUENCE));
    const authority = Boolean(basic && basic.is(TAG.BOOLEAN) && basic.take(TAG.BOOLEAN)[0] !== 0);
    const usage = this.usage();
    return authority && (!usage || usage(5));
  }

  get issuerAndSerial() {
    return element(TAG.SEQUENCE, this.issuer, element(TAG.INTEGER, this.serial));
  }

  get name() {
    return nameText(this.subject);
  }

  validAt(time) {
    return time >= this.from && time <= this.until;
  }

  async fingerprint() {
    return hex(await sha256(this.der));
  }

  async issuedBy(issuer, time) {
    if (!same(this.issuer, issuer.subject) || !issuer.isAuthority) return false;
    if (!this.validAt(time) || !issuer.validAt(time)) return false;
    if (this.unknownCritical || issuer.unknownCritical || this.signature[0] !== 0) return false;
    return verifySignature(this.algorithm, issuer, this.signed, this.signature.subarray(1));
  }
}

function certificateTime(validity) {
  const utc = validity.is(TAG.UTC);
  const written = text(validity.take(utc ? TAG.UTC : TAG.TIME)) ?? '';
  const parts = written.match(utc ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/);
  if (!parts) throw new NotDer();
  const [year, month, ...rest] = parts.slice(1).map(Number);
  const century = utc ? (year < 50 ? 2000 : 1900) : 0;
  return Date.UTC(century + year, month - 1, ...rest);
}

function nameText(name) {
  const read = () => {
    const parts = [];
    const list = new Der(name).enter(TAG.SEQUENCE);
    while (!list.empty) {
      const one = list.enter(TAG.SET).enter(TAG.SEQUENCE);
      const id = hex(one.take(TAG.OID));
      const value = one.whole();
      parts.push(`${NAMES[id] ?? id}=${text(value.subarray(announce(value).start)) ?? '?'}`);
    }
    return parts.reverse().join(', ');
  };
  return attempt(read) ?? '(a name that cannot be read)';
}

// Web Crypto wants r and s side by side; X.509 and CMS have them as two integers.
function rawSignature(der, bytes) {
  return attempt(() => {
    const outer = new Der(der);
    const pair = outer.enter(TAG.SEQUENCE);
    outer.end();
    const numbers = [pair.take(TAG.INTEGER), pair.take(TAG.INTEGER)];
    pair.end();
    const out = new Uint8Array(bytes * 2);
    for (const [index, number] of numbers.entries()) {
      const padded = number[0] === 0;
      // The shortest form, and not negative.
      if (number.length === 0 || number[0] >= 0x80 || (padded && number[1] < 0x80)) throw new NotDer();
      const digits = padded ? number.subarray(1) : number;
      if (digits.length > bytes) throw new NotDer();
      out.set(digits, bytes * (index + 1) - digits.length);
    }
    return out;
  });
}

async function verifySignature(kind, signer, signed, signature) {
  const ec = { [OIDS.ecdsa256]: ['P-256', 'SHA-256', 32], [OIDS.ecdsa384]: ['P-384', 'SHA-384', 48] }[kind];
  const rsa = { [OIDS.rsa256]: 'SHA-256', [OIDS.rsa384]: 'SHA-384', [OIDS.rsa512]: 'SHA-512' }[kind];
  try {
    if (ec) {
      const [namedCurve, hash, bytes] = ec;
      const raw = rawSignature(signature, bytes);
      const key = await crypto.subtle.importKey('spki', signer.key, { name: 'ECDSA', namedCurve }, false, ['verify']);
      return raw !== null && (await crypto.subtle.verify({ name: 'ECDSA', hash }, key, raw, signed));
    }
    if (!rsa) return false;
    const name = 'RSASSA-PKCS1-v1_5';
    const key = await crypto.subtle.importKey('spki', signer.key, { name, hash: rsa }, false, ['verify']);
    return key.algorithm.modulusLength >= 2048 && (await crypto.subtle.verify({ name }, key, signature, signed));
  } catch {
    return false;
  }
}

// The contents of all blocks with this label in PEM text; of bytes that are DER, themselves.
function pemBlocks(bytes, label) {
  if (bytes[0] === TAG.SEQUENCE) return [bytes];
  const pattern = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*)-----END ${label}-----`, 'g');
  return Array.from((text(bytes) ?? '').matchAll(pattern), ([, body]) =>
    Uint8Array.from(atob(body.replace(/\s/g, '')), (letter) => letter.charCodeAt(0)));
}
