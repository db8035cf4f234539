// The outer bag (RFC 8493, docs/formats/parcel.md §1): each text file has one way to be written, so it is written again and compared.

const BAGIT = 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n';
const OUTER_TAGS = ['HOW-TO-OPEN.txt', 'bag-info.txt', 'bagit.txt', 'manifest-sha256.txt'];
const TAG_MANIFEST = 'tagmanifest-sha256.txt';
const SIGNATURE = 'seal/tagmanifest-sha256.txt.p7s';
const STAMP = `${SIGNATURE}.tsr`;
const TEMPLATE = 'seal/receipt-template.json';
const PART_BYTES = { least: 1024, most: 268_435_456 };
const PARTS_MAX = 1_000_000;
const METADATA_BYTES_MAX = 268_435_456;
const PART_HEAD_BYTES_MAX = 65_536;
const TAG_BYTES_MAX = 92_000_000;
const RSA_OAEP = 'RSA-OAEP';

function partPath(number) {
  const folder = String(Math.floor(number / 1000)).padStart(3, '0');
  return `data/${folder}/part-${String(number).padStart(6, '0')}.p7m`;
}

function sizeText(bytes) {
  for (const [unit, size] of [['TB', 1e12], ['GB', 1e9], ['MB', 1e6]]) {
    if (bytes >= size) {
      const tenths = Math.ceil(bytes / (size / 10));
      return `${Math.floor(tenths / 10)}.${tenths % 10} ${unit}`;
    }
  }
  return `${Math.ceil(bytes / 1000)} KB`;
}

function commonInfo(info) {
  return `Source-Organization: ${info.sender.name} (${info.sender.ori})\nExternal-Identifier: ${info.id}\n` +
    `Bagging-Date: ${info.sealedAt.slice(0, 10)}\n`;
}

function writeInfo(info) {
  return commonInfo(info) + `Bag-Size: ${sizeText(info.bytes)}\nPayload-Oxum: ${info.bytes}.${info.parts}\n` +
    `Seal-Profile: 1.0\nSeal-Time: ${info.sealedAt}\nTrusted-Time: none\nPart-Size: ${info.partSize}\n` +
    `Archive-Size: ${info.archiveSize}\nMetadata-Offset: ${info.metadataOffset}\n` +
    (info.rsaOaep ? `Key-Transport: ${RSA_OAEP}\n` : '') +
    info.recipients.map((one) => `Recipient-Cert-SHA256: ${one}\n`).join('');
}

function readInfo(written) {
  const lines = (written ?? '').split('\n');
  const value = (key) => lines.find((line) => line.startsWith(`${key}: `))?.slice(key.length + 2) ?? '';
  const organisation = value('Source-Organization').match(/^(.*) \(([^(]*)\)$/);
  const oxum = value('Payload-Oxum').match(/^(\d{1,15})\.(\d{1,7})$/);
  const number = (key) => (/^\d{1,15}$/.test(value(key)) ? Number(value(key)) : NaN);
  if (!organisation || !oxum) return null;
  const info = {
    sender: { name: organisation[1], ori: organisation[2] },
    id: value('External-Identifier'),
    sealedAt: value('Seal-Time'),
    bytes: Number(oxum[1]),
    parts: Number(oxum[2]),
    partSize: number('Part-Size'),
    archiveSize: number('Archive-Size'),
    metadataOffset: number('Metadata-Offset'),
    rsaOaep: value('Key-Transport') === RSA_OAEP,
    recipients: lines.filter((line) => line.startsWith('Recipient-Cert-SHA256: ')).map((line) => line.slice(23)),
  };
  const sound = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(info.id) &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(info.sealedAt) && !Number.isNaN(Date.parse(info.sealedAt)) &&
    info.partSize >= PART_BYTES.least && info.partSize <= PART_BYTES.most &&
    info.parts === Math.ceil(info.archiveSize / info.partSize) && info.parts <= PARTS_MAX &&
    info.metadataOffset < info.archiveSize && info.archiveSize - info.metadataOffset <= METADATA_BYTES_MAX &&
    info.recipients.length >= 1 && info.recipients.length <= 16 &&
    info.recipients.every((one, at) => /^[0-9a-f]{64}$/.test(one) && (at === 0 || info.recipients[at - 1] <= one));
  return sound && writeInfo(info) === written ? info : null;
}

function receiptTemplate(id, digestText) {
  return `{\n  "profile": "bailiwick-receipt/1.0",\n  "parcel": "${id}",\n  "digest": "${digestText}",\n` +
    '  "exchange_id": "",\n  "outcome": "accepted or refused",\n  "checks": [],\n  "at": "",\n' +
    '  "receiver": { "ori": "", "name": "" },\n  "person": null,\n  "ledger_entry": null,\n' +
    '  "ledger_checkpoint": null\n}\n';
}

// The digests of a manifest's lines, which must be for these paths, in this order; or null.
function readManifest(written, paths) {
  const digests = [];
  const lines = (written ?? '').split('\n');
  if (lines.pop() !== '' || lines.length !== paths.length) return null;
  for (const [at, line] of lines.entries()) {
    const digestText = line.slice(0, 64);
    if (!/^[0-9a-f]{64}$/.test(digestText) || line !== `${digestText}  ${paths[at]}`) return null;
    digests.push(digestText);
  }
  return digests;
}

async function tagManifest(files) {
  let out = '';
  for (const [path, bytes] of files) out += `${hex(await sha256(bytes))}  ${path}\n`;
  return out;
}

// A parcel's files: path to Blob. From a folder's files, or from one ZIP.
async function readFile(files, path, most) {
  const blob = files.get(path);
  need(blob, path, 'missing');
  need(blob.size <= most, path, 'larger than allowed');
  return new Uint8Array(await blob.arrayBuffer());
}

// Which bytes of the archive part `number` carries.
function partRange(info, number) {
  const from = Math.min(number * info.partSize, info.archiveSize);
  return [from, Math.min(from + info.partSize, info.archiveSize)];
}

// Signature, tag files, forms, template, completeness: all that needs neither a key nor a part.
async function enterParcel(files, trust) {
  const manifestBytes = await readFile(files, TAG_MANIFEST, 65_536);
  const signature = await readFile(files, SIGNATURE, 307_200);
  const signed = await checkSignature(TAG_MANIFEST, manifestBytes, SIGNATURE, signature, trust);
  const expected = readManifest(text(manifestBytes), OUTER_TAGS);
  need(expected, TAG_MANIFEST, "not a list of this profile's four files");
  const tags = {};
  for (const [at, path] of OUTER_TAGS.entries()) {
    const bytes = await readFile(files, path, path === 'manifest-sha256.txt' ? TAG_BYTES_MAX : 65_536);
    need(hex(await sha256(bytes)) === expected[at], path, 'altered: its hash is not the signed one');
    tags[path] = text(bytes);
  }
  need(tags['bagit.txt'] === BAGIT, 'bagit.txt', 'not BagIt 1.0 in UTF-8');
  const info = readInfo(tags['bag-info.txt']);
  need(info, 'bag-info.txt', 'not in the form of this profile');
  const paths = Array.from({ length: info.parts }, (_, number) => partPath(number));
  const digests = readManifest(tags['manifest-sha256.txt'], paths);
  need(digests, 'manifest-sha256.txt', 'not a list of the parts in their order');
  const digestText = hex(await sha256(manifestBytes));
  const template = text(await readFile(files, TEMPLATE, 65_536));
  need(template === receiptTemplate(info.id, digestText), TEMPLATE, 'altered');
  const missing = new Set([...paths, ...OUTER_TAGS, TAG_MANIFEST, SIGNATURE, TEMPLATE]);
  for (const path of files.keys()) {
    // A time-stamp authority's word may lie beside the signature. It is not looked at here.
    if (path === STAMP) continue;
    need(missing.delete(path), path, 'not listed in the signed manifest');
  }
  for (const path of missing) need(false, path, 'missing');
  return { files, trust, info, digests, digest: digestText, signer: signed.certificate, signedAt: signed.time };
}

// A part's bytes, when their hash is the signed one.
async function readPartBytes(parcel, number) {
  const path = partPath(number);
  const part = await readFile(parcel.files, path, parcel.info.partSize + PART_HEAD_BYTES_MAX);
  if (hex(await sha256(part)) === parcel.digests[number]) {
    const found = attempt(() => readPart(part));
    const fits = !found || found.recipients.some((one) => one.transport) === parcel.info.rsaOaep;
    if (!fits) throw new Refusal(path, 'not with such keys as bag-info.txt tells of', partRange(parcel.info, number));
    return part;
  }
  const start = announce(part.subarray(0, 16));
  const short = start && start.start + start.length > part.length;
  throw new Refusal(path, short ? 'cut short' : 'altered: its hash is not the signed one', partRange(parcel.info, number));
}

// Hashes every part, one after another. All bad ones are named.
async function checkParts(parcel, progress) {
  const bad = [];
  let done = 0;
  for (let number = 0; number < parcel.info.parts; number += 1) {
    try {
      done += (await readPartBytes(parcel, number)).length;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      bad.push(error);
    }
    progress(number + 1, parcel.info.parts);
  }
  if (bad.length > 0) {
    bad[0].others = bad.slice(1, 17).map((one) => one.file);
    throw bad[0];
  }
  need(done === parcel.info.bytes, 'bag-info.txt', 'not the bytes of all parts');
}
