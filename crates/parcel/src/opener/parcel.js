// Verifying and opening, in the order of docs/formats/parcel.md §6. Nothing here touches the page.

async function verifyParcel(files, trust, progress = () => {}) {
  const parcel = await enterParcel(files, trust);
  await checkParts(parcel, progress);
  return parcel;
}

async function decryptPart(parcel, number, recipient) {
  const [from, to] = partRange(parcel.info, number);
  try {
    return await openPart(partPath(number), await readPartBytes(parcel, number), to - from, recipient);
  } catch (error) {
    if (error instanceof Refusal) error.range ??= [from, to];
    throw error;
  }
}

// The metadata section, decrypted and checked: signature, addressee, index against manifest.
async function unlockParcel(parcel, recipient) {
  const { info } = parcel;
  const pieces = [];
  for (let number = Math.floor(info.metadataOffset / info.partSize); number < info.parts; number += 1) {
    const plain = await decryptPart(parcel, number, recipient);
    pieces.push(plain.subarray(Math.max(0, info.metadataOffset - partRange(info, number)[0])));
  }
  const tags = readSection(concat(...pieces), Date.parse(info.sealedAt) / 1000);
  const manifest = tags.get('tagmanifest-sha256.txt');
  const names = ['inner/tagmanifest-sha256.txt', 'inner/seal/tagmanifest-sha256.txt.p7s'];
  const signed = await checkSignature(names[0], manifest, names[1], tags.get('seal/tagmanifest-sha256.txt.p7s'), parcel.trust);
  const listed = SECTION.slice(0, -2).filter((path) => tags.has(path)).map((path) => [path, tags.get(path)]);
  need(text(manifest) === (await tagManifest(listed)), names[0], 'altered: its hash is not the signed one');
  const record = await checkRecord(parcel, tags.get('metadata/transfer.json'), signed, recipient);
  const index = json(tags.get('metadata/index.json'));
  need(index && fits(index, info), 'inner/metadata/index.json', 'not an index that fits the archive');
  const bytes = index.files.reduce((sum, file) => sum + file.length, 0);
  const derived = {
    'bag-info.txt': `${commonInfo({ ...info, sender: record.transfer.sender })}Payload-Oxum: ${bytes}.${index.files.length}\nSeal-Profile: 1.0\n`,
    'bagit.txt': BAGIT,
    'manifest-sha256.txt': index.files.map((file) => `${file.sha256}  data/${file.path}\n`).join(''),
  };
  for (const [path, expected] of Object.entries(derived)) {
    need(text(tags.get(path)) === expected, `inner/${path}`, 'not what index and transfer say');
  }
  return { parcel, recipient, tags, index, record };
}

function json(bytes) {
  try {
    return JSON.parse(text(bytes) ?? '');
  } catch {
    return null;
  }
}

async function checkRecord(parcel, bytes, signed, recipient) {
  const file = 'inner/metadata/transfer.json';
  const { info } = parcel;
  const record = json(bytes);
  const party = (value) => hasKeys(value, ['ori', 'name']);
  const keys = ['profile', 'parcel', 'sealed_at', 'sender_certificate', 'recipient_certificates', ...(info.rsaOaep ? ['key_transport'] : []), 'transfer'];
  const form = hasKeys(record, keys) && (!info.rsaOaep || record.key_transport === RSA_OAEP) &&
    record.profile === '1.0' && Array.isArray(record.recipient_certificates) && hasKeys({ record_classes: [], exchange_number: 1, ...record.transfer },
    ['exchange_id', 'exchange_number', 'purpose', 'authority', 'case_number', 'handling', 'record_classes', 'retention', 'sender', 'recipient']) &&
    Array.isArray(record.transfer.handling) && Array.isArray(record.transfer.record_classes ?? []) &&
    (record.transfer.exchange_number === undefined || (Number.isSafeInteger(record.transfer.exchange_number) && record.transfer.exchange_number > 0)) &&
    party(record.transfer.sender) && party(record.transfer.recipient);
  need(form, file, 'not a transfer record of this profile');
  need(record.parcel === info.id, file, `names another parcel: ${record.parcel}`);
  const ours = await recipient.certificate.fingerprint();
  need(record.recipient_certificates.includes(ours), file, 'not addressed to your certificate');
  const sealed = Date.parse(info.sealedAt);
  const agrees = secondsOf(record.sealed_at) * 1000 === sealed && signed.time === sealed &&
    record.recipient_certificates.join() === info.recipients.join() &&
    record.transfer.sender.ori === info.sender.ori && record.transfer.sender.name === info.sender.name &&
    record.sender_certificate === (await signed.certificate.fingerprint()) && same(signed.certificate.der, parcel.signer.der);
  need(agrees, file, 'does not agree with the outside of the parcel');
  return record;
}

// Hands every file to `sink`: begin(file), write(bytes), end(), abort(). Each piece was checked before it is handed on, and each
// file's hash before its end. The same part serves the files that it carries; memory is a few parts.
async function openParcel(unlocked, sink, progress = () => {}) {
  const { parcel, index, recipient } = unlocked;
  const { info } = parcel;
  let held = null;
  const part = async (number) => {
    if (held?.number === number) return held.plain;
    held = null;
    let plain;
    try {
      plain = await decryptPart(parcel, number, recipient);
      const [from, to] = partRange(info, number);
      const leaf = await sha256(plain.subarray(0, Math.min(to, info.metadataOffset) - from));
      if (hex(leaf) !== index.leaves[number]) throw new Refusal(partPath(number), 'altered: its content is not what the sender signed', [from, to]);
    } catch (error) {
      if (error instanceof Refusal) error.inside = piecesIn(index, partRange(info, number));
      throw error;
    }
    held = { number, plain };
    progress(number + 1, index.leaves.length);
    return plain;
  };
  const copy = async (from, to, use) => {
    for (let at = from; at < to;) {
      const number = Math.floor(at / info.partSize);
      const start = number * info.partSize;
      const until = Math.min(start + info.partSize, to);
      await use((await part(number)).subarray(at - start, until - start));
      at = until;
    }
  };
  for (const file of index.files) {
    const header = paxHeader(`inner/data/${file.path}`, file.length, secondsOf(file.modified));
    const found = [];
    await copy(file.offset - header.length, file.offset, async (piece) => found.push(piece.slice()));
    need(same(concat(...found), header), file.path, 'its header in the archive is not what the index says');
    await sink.begin(file);
    try {
      const hash = new Sha256();
      await copy(file.offset, file.offset + file.length, async (piece) => {
        hash.update(piece);
        await sink.write(piece);
      });
      need(hash.finish() === file.sha256, file.path, 'altered: its hash is not the signed one');
    } catch (error) {
      await sink.abort();
      throw error;
    }
    await sink.end();
  }
}

// The pieces of sealed files that a range of the archive carries.
function piecesIn(index, [from, to]) {
  return index.files.filter((file) => file.offset < to && file.offset + file.length > from).slice(0, 16).map((file) => ({
    path: file.path, from: Math.max(0, from - file.offset), to: Math.min(to - file.offset, file.length),
  }));
}

// Everything at once, for files that are at hand: what the page does, and what tests ask for.
async function judge(files, { senders, now, certificate, key }) {
  try {
    const trust = { senders: senders.map((der) => Certificate.read(der)), now };
    const parcel = await verifyParcel(files, trust);
    if (!key) return { holds: true, digest: parcel.digest, id: parcel.info.id };
    const recipient = await readRecipient(certificate, key);
    const unlocked = await unlockParcel(parcel, recipient);
    const opened = [];
    await openParcel(unlocked, { begin: async (file) => opened.push([file.path, file.sha256]), write: async () => {}, end: async () => {}, abort: async () => {} });
    return { holds: true, digest: parcel.digest, id: parcel.info.id, files: opened };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { holds: false, file: error.file, why: error.message, range: error.range, inside: error.inside };
  }
}

async function readRecipient(certificateDer, pkcs8) {
  const certificate = Certificate.read(certificateDer);
  need(certificate.isP384 || certificate.isRsa, 'your certificate', 'This page opens parcels that were sealed to a P-384 certificate, or to an RSA one. Yours has another kind of key: use the bailiwick program.');
  const [kind, uses] = certificate.isP384 ? [{ name: 'ECDH', namedCurve: 'P-384' }, 'deriveBits'] : [{ name: 'RSA-OAEP', hash: 'SHA-256' }, 'unwrapKey'];
  let key;
  try {
    key = await crypto.subtle.importKey('pkcs8', pkcs8, kind, false, [uses]);
  } catch {
    throw new Refusal('your key', `This is not ${certificate.isP384 ? 'a P-384' : 'an RSA'} private key in PKCS#8 without a password.`);
  }
  return { certificate, key };
}
