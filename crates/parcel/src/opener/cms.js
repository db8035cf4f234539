// The two CMS messages of a parcel: a detached signature, and a part (RFC 5652, 5083, 5084, 5753, 5035).

const CMS = {
  data: '2a864886f70d010701',
  signedData: '2a864886f70d010702',
  authEnveloped: '2a864886f70d0109100117',
  gcm: '60864801650304012e',
  wrap: '60864801650304012d',
  ecdh: '2b8104010b02',
  sha256: '608648016503040201',
  sha384: '608648016503040202',
  contentType: '2a864886f70d010903',
  messageDigest: '2a864886f70d010904',
  signingTime: '2a864886f70d010905',
  signingCertificate: '2a864886f70d010910022f',
  kem: '2a864886f70d0109100d03',
  mlKem: ['608648016503040402', '608648016503040403'],
  hkdf: '2a864886f70d010910031c',
  rsaesOaep: '2a864886f70d010107',
  mgf1: '2a864886f70d010108',
};
const SKEW_MS = 300_000;
const CERTIFICATES_MAX = 4;
const ATTRIBUTES_MAX = 16;
const RECIPIENTS_MAX = 16;

function elements(run, most) {
  const out = [];
  while (!run.empty && out.length <= most) out.push(run.whole());
  if (out.length === 0 || out.length > most) throw new NotDer();
  return out;
}

function assembleSignature(certificates, signer, attributes, signature) {
  const hash = algorithm(CMS.sha384);
  const info = element(TAG.SEQUENCE, small(1), signer, hash, setOf(0xa0, attributes),
    algorithm(OIDS.ecdsa384), element(TAG.OCTETS, signature));
  const data = element(TAG.SEQUENCE, small(1), element(TAG.SET, hash),
    element(TAG.SEQUENCE, oid(CMS.data)), setOf(0xa0, certificates), element(TAG.SET, info));
  return element(TAG.SEQUENCE, oid(CMS.signedData), element(0xa0, data));
}

function readSignature(file) {
  const message = new Der(file).enter(TAG.SEQUENCE);
  if (hex(message.take(TAG.OID)) !== CMS.signedData) throw new NotDer();
  const data = message.enter(0xa0).enter(TAG.SEQUENCE);
  data.take(TAG.INTEGER);
  data.take(TAG.SET);
  data.take(TAG.SEQUENCE);
  const certificates = elements(data.enter(0xa0), CERTIFICATES_MAX);
  const info = data.enter(TAG.SET).enter(TAG.SEQUENCE);
  info.take(TAG.INTEGER);
  const signer = info.whole(TAG.SEQUENCE);
  info.take(TAG.SEQUENCE);
  const attributes = elements(info.enter(0xa0), ATTRIBUTES_MAX);
  info.take(TAG.SEQUENCE);
  const signature = info.take(TAG.OCTETS);
  const values = new Map();
  for (const attribute of attributes) {
    const one = new Der(attribute).enter(TAG.SEQUENCE);
    const id = hex(one.take(TAG.OID));
    if (values.has(id)) throw new NotDer();
    const set = one.enter(TAG.SET);
    values.set(id, set.whole());
    if (!set.empty && [CMS.contentType, CMS.messageDigest, CMS.signingTime, CMS.signingCertificate].includes(id)) throw new NotDer();
    one.end();
  }
  if (!same(values.get(CMS.contentType) ?? [], oid(CMS.data))) throw new NotDer();
  const value = (id, tag) => {
    const one = new Der(values.get(id) ?? new Uint8Array());
    const found = one.take(tag);
    one.end();
    return found;
  };
  const time = text(value(CMS.signingTime, TAG.UTC));
  const hash = value(CMS.messageDigest, TAG.OCTETS);
  const ess = new Der(value(CMS.signingCertificate, TAG.SEQUENCE)).enter(TAG.SEQUENCE).enter(TAG.SEQUENCE);
  const named = ess.is(TAG.SEQUENCE) ? hex(ess.enter(TAG.SEQUENCE).take(TAG.OID)) : CMS.sha256;
  return { certificates, signer, attributes, signature, time, hash, ess: { named, hash: ess.take(TAG.OCTETS) } };
}

// Checks `signature`, of file `signatureName`, over `content`, of file `contentName`. Gives signer and time.
async function checkSignature(contentName, content, signatureName, signature, trust) {
  const found = attempt(() => readSignature(signature));
  need(found, signatureName, 'not a signature in the form of this profile');
  const certificates = found.certificates.map((der) => attempt(() => new Certificate(der)));
  need(certificates.every(Boolean), signatureName, 'holds a certificate that cannot be read');
  const leaf = certificates.find((one) => same(one.issuerAndSerial, found.signer));
  need(leaf, signatureName, "the signer's certificate is not included");
  const again = assembleSignature(found.certificates, found.signer, found.attributes, found.signature);
  need(same(again, signature), signatureName, 'not a signature in the form of this profile');
  const hashes = { [CMS.sha256]: sha256, [CMS.sha384]: sha384 };
  const names = hashes[found.ess.named];
  need(names && same(await names(leaf.der), found.ess.hash), signatureName, 'its signed attributes name another certificate');
  need(leaf.isP384 && leaf.maySign, signatureName, 'signed with a key that may not sign parcels');
  const signed = setOf(TAG.SET, found.attributes);
  const holds = await verifySignature(OIDS.ecdsa384, leaf, signed, found.signature);
  need(holds, signatureName, 'the signature does not verify');
  const time = /^\d{12}Z$/.test(found.time ?? '') && found.time < '50' ? Date.parse(found.time.replace(
    /^(..)(..)(..)(..)(..)(..)Z$/, '20$1-$2-$3T$4:$5:$6Z')) : NaN;
  need(!Number.isNaN(time), signatureName, 'a signing time that is none');
  await checkTrust(leaf, certificates, time, trust, signatureName);
  need(same(await sha384(content), found.hash), contentName, 'altered: its hash is not the signed one');
  return { certificate: leaf, time };
}

async function checkTrust(leaf, certificates, signed, trust, file) {
  need(signed <= trust.now + SKEW_MS, file, `signed at ${new Date(signed).toISOString()}, which is after our time`);
  need(leaf.validAt(signed) && leaf.validAt(trust.now), file, "the signer's certificate has run out, or is not valid yet");
  const pinned = (one) => trust.senders.some((sender) => same(sender.der, one.der));
  let last = leaf;
  let trusted = pinned(leaf);
  const rest = certificates.filter((one) => one !== leaf);
  while (rest.length > 0) {
    const issues = await Promise.all(rest.map((one) => last.issuedBy(one, trust.now)));
    const next = issues.indexOf(true);
    need(next >= 0, file, 'a certificate has no part in the signature');
    [last] = rest.splice(next, 1);
    trusted = trusted || pinned(last);
  }
  const issued = (await Promise.all(trust.senders.map((one) => last.issuedBy(one, trust.now)))).includes(true);
  const anchored = issued || pinned(last) || (await last.issuedBy(last, trust.now));
  need(anchored && (trusted || issued), file, `signed by ${leaf.name}, whom you did not say to trust`);
}

const sharedInfo = () => element(TAG.SEQUENCE, algorithm(CMS.wrap),
  element(0xa2, element(TAG.OCTETS, Uint8Array.of(0, 0, 1, 0))));

function agreeInfo({ ephemeral, id, key }) {
  const point = element(TAG.BITS, Uint8Array.of(0), ephemeral);
  const originator = element(0xa0, element(0xa1, algorithm(OIDS.ecKey), point));
  const scheme = algorithm(CMS.ecdh, algorithm(CMS.wrap));
  const keys = element(TAG.SEQUENCE, element(TAG.SEQUENCE, id, element(TAG.OCTETS, key)));
  return element(0xa1, small(3), originator, scheme, keys);
}

// RSA-OAEP with SHA-256 (RFC 3560), where the sender allowed it.
function transportInfo({ id, key }) {
  const hash = algorithm(CMS.sha256);
  const parameters = element(TAG.SEQUENCE, element(0xa0, hash), element(0xa1, algorithm(CMS.mgf1, hash)));
  return element(TAG.SEQUENCE, small(0), id, algorithm(CMS.rsaesOaep, parameters), element(TAG.OCTETS, key));
}

function readTransport(info) {
  info.take(TAG.INTEGER);
  const id = info.whole(TAG.SEQUENCE);
  info.take(TAG.SEQUENCE);
  return { transport: true, id, key: info.take(TAG.OCTETS) };
}

function readRecipientInfo(set) {
  if (set.is(0xa1)) return readAgree(set.enter(0xa1));
  return set.is(TAG.SEQUENCE) ? readTransport(set.enter(TAG.SEQUENCE)) : readKem(set.enter(0xa4));
}

function writeRecipientInfo(one) {
  if (one.transport) return transportInfo(one);
  return one.ephemeral ? agreeInfo(one) : kemInfo(one);
}

function keyFits({ transport, key }) {
  return transport ? key.length >= 256 && key.length <= 1024 : key.length === 40;
}

// No browser has ML-KEM yet, but a part may name such recipients beside ours.
function kemInfo({ kem, id, ciphertext, ukm, key }) {
  const material = ukm ? element(0xa0, element(TAG.OCTETS, ukm)) : new Uint8Array();
  const info = element(TAG.SEQUENCE, small(0), id, algorithm(kem), element(TAG.OCTETS, ciphertext),
    algorithm(CMS.hkdf), small(32), material, algorithm(CMS.wrap), element(TAG.OCTETS, key));
  return element(0xa4, oid(CMS.kem), info);
}

function readAgree(info) {
  info.take(TAG.INTEGER);
  const publicKey = info.enter(0xa0).enter(0xa1);
  publicKey.take(TAG.SEQUENCE);
  const bits = publicKey.take(TAG.BITS);
  if (bits[0] !== 0 || bits.length !== 98) throw new NotDer();
  info.take(TAG.SEQUENCE);
  const encrypted = info.enter(TAG.SEQUENCE).enter(TAG.SEQUENCE);
  const id = encrypted.whole(TAG.SEQUENCE);
  return { ephemeral: bits.subarray(1), id, key: encrypted.take(TAG.OCTETS) };
}

function readKem(other) {
  if (hex(other.take(TAG.OID)) !== CMS.kem) throw new NotDer();
  const info = other.enter(TAG.SEQUENCE);
  info.take(TAG.INTEGER);
  const id = info.whole(TAG.SEQUENCE);
  const kem = hex(info.enter(TAG.SEQUENCE).take(TAG.OID));
  if (!CMS.mlKem.includes(kem)) throw new NotDer();
  const ciphertext = info.take(TAG.OCTETS);
  info.take(TAG.SEQUENCE);
  info.take(TAG.INTEGER);
  const ukm = info.is(0xa0) ? info.enter(0xa0).take(TAG.OCTETS) : null;
  info.take(TAG.SEQUENCE);
  return { kem, id, ciphertext, ukm, key: info.take(TAG.OCTETS) };
}

function partHead(infos, nonce, length) {
  const gcm = element(TAG.SEQUENCE, element(TAG.OCTETS, nonce), small(16));
  const what = concat(oid(CMS.data), algorithm(CMS.gcm, gcm), head(0x80, length));
  const data = concat(small(0), setOf(TAG.SET, infos), head(TAG.SEQUENCE, what.length + length), what);
  const dataHead = head(TAG.SEQUENCE, data.length + length + 18);
  const explicit = head(0xa0, dataHead.length + data.length + length + 18);
  const message = concat(oid(CMS.authEnveloped), explicit, dataHead, data);
  return concat(head(TAG.SEQUENCE, message.length + length + 18), message);
}

function readPart(part) {
  const message = new Der(part).enter(TAG.SEQUENCE);
  if (hex(message.take(TAG.OID)) !== CMS.authEnveloped) throw new NotDer();
  const data = message.enter(0xa0).enter(TAG.SEQUENCE);
  data.take(TAG.INTEGER);
  const set = data.enter(TAG.SET);
  const recipients = [];
  while (!set.empty && recipients.length < RECIPIENTS_MAX) {
    recipients.push(readRecipientInfo(set));
  }
  set.end();
  const encrypted = data.enter(TAG.SEQUENCE);
  encrypted.take(TAG.OID);
  const cipher = encrypted.enter(TAG.SEQUENCE);
  if (hex(cipher.take(TAG.OID)) !== CMS.gcm) throw new NotDer();
  const nonce = cipher.enter(TAG.SEQUENCE).take(TAG.OCTETS);
  const content = encrypted.take(0x80);
  const mac = data.take(TAG.OCTETS);
  data.end();
  if (nonce.length !== 12 || mac.length !== 16 || !recipients.every(keyFits)) throw new NotDer();
  const infos = recipients.map(writeRecipientInfo);
  const headBytes = partHead(infos, nonce, content.length);
  const whole = headBytes.length + content.length + 18 === part.length;
  if (!whole || !same(headBytes, part.subarray(0, headBytes.length))) throw new NotDer();
  return { recipients, nonce, content, mac };
}

// The content key, by agreement (RFC 5753) or sent (RFC 3560).
async function contentKey(wrapped, recipient) {
  const use = ['AES-GCM', false, ['decrypt']];
  if (wrapped.transport) {
    return crypto.subtle.unwrapKey('raw', wrapped.key, recipient.key, { name: 'RSA-OAEP' }, ...use);
  }
  const curve = { name: 'ECDH', namedCurve: 'P-384' };
  const theirs = await crypto.subtle.importKey('raw', wrapped.ephemeral, curve, false, []);
  const secret = new Uint8Array(await crypto.subtle.deriveBits({ name: 'ECDH', public: theirs }, recipient.key, 384));
  // X9.63 (SEC 1 §3.6.1): one block is enough.
  const block = await sha384(concat(secret, Uint8Array.of(0, 0, 0, 1), sharedInfo()));
  const kek = await crypto.subtle.importKey('raw', block.slice(0, 32), 'AES-KW', false, ['unwrapKey']);
  return crypto.subtle.unwrapKey('raw', wrapped.key, kek, 'AES-KW', ...use);
}

// One part's content. `length` is what it must have.
async function openPart(file, part, length, recipient) {
  const found = attempt(() => readPart(part));
  need(found, file, 'not a part in the form of this profile');
  need(found.content.length === length, file, 'not of the length that bag-info.txt gives');
  const ours = recipient.certificate.issuerAndSerial;
  const wrapped = found.recipients.find((one) => same(one.id, ours));
  need(wrapped, file, 'not addressed to your certificate');
  need(wrapped.ephemeral || wrapped.transport, file, 'sealed to an ML-KEM certificate, which browsers cannot open yet');
  try {
    const key = await contentKey(wrapped, recipient);
    const sealed = concat(found.content, found.mac);
    return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: found.nonce, tagLength: 128 }, key, sealed));
  } catch {
    throw new Refusal(file, 'does not decrypt: your key is not the one, or the part was altered before sealing');
  }
}
