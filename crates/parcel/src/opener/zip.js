// A parcel as one ZIP (docs/formats/parcel.md §1.1): the directory is read, written again and compared, and so is every local header.

const FULL = 0xffffffff;

function zipNumber(bytes, at, size) {
  let out = 0;
  for (let i = size - 1; i >= 0; i -= 1) out = out * 256 + bytes[at + i];
  return out;
}

function little(value, size) {
  const out = new Uint8Array(size);
  for (let i = 0, rest = value; i < size; i += 1, rest = Math.floor(rest / 256)) out[i] = rest % 256;
  return out;
}

function zipCommon(entry) {
  return concat(little(0, 6), little(0x21, 2), little(entry.crc, 4), little(entry.length, 4), little(entry.length, 4),
    little(entry.name.length, 2));
}

function zipLocal(entry) {
  return concat(utf8('PK\x03\x04'), little(20, 2), zipCommon(entry), little(0, 2), utf8(entry.name));
}

function zipCentral(entry) {
  const far = entry.offset >= FULL;
  const version = far ? 45 : 20;
  return concat(utf8('PK\x01\x02'), little(0x300 | version, 2), little(version, 2), zipCommon(entry), little(far ? 12 : 0, 2),
    little(0, 6), little(0o100644 * 0x10000, 4), little(Math.min(entry.offset, FULL), 4), utf8(entry.name),
    far ? concat(Uint8Array.of(1, 0, 8, 0), little(entry.offset, 8)) : []);
}

function zipEnd(count, size, offset) {
  const far = count >= 0xffff || size >= FULL || offset >= FULL;
  const records = far ? concat(utf8('PK\x06\x06'), little(44, 8), little(0x300 | 45, 2), little(45, 2), little(0, 8), little(count, 8),
    little(count, 8), little(size, 8), little(offset, 8), utf8('PK\x06\x07'), little(0, 4), little(offset + size, 8), little(1, 4)) : [];
  const short = little(Math.min(count, 0xffff), 2);
  return concat(records, utf8('PK\x05\x06'), little(0, 4), short, short, little(Math.min(size, FULL), 4),
    little(Math.min(offset, FULL), 4), little(0, 2));
}

// The parcel's files in a ZIP: path to Blob.
async function zipFiles(file) {
  const check = (condition) => need(condition, file.name, 'not the one form of ZIP that holds a parcel');
  const bytes = async (from, to) => new Uint8Array(await file.slice(from, to).arrayBuffer());
  check(file.size >= 22);
  const tail = await bytes(file.size - 22, file.size);
  let [count, size, offset] = [zipNumber(tail, 10, 2), zipNumber(tail, 12, 4), zipNumber(tail, 16, 4)];
  if (count === 0xffff || size === FULL || offset === FULL) {
    check(file.size >= 98);
    const record = await bytes(file.size - 98, file.size - 42);
    [count, size, offset] = [zipNumber(record, 32, 8), zipNumber(record, 40, 8), zipNumber(record, 48, 8)];
  }
  check(count >= 1 && count <= PARTS_MAX + 7 && size <= (PARTS_MAX + 7) * 186 && offset + size <= file.size);
  const directory = await bytes(offset, offset + size);
  const end = await bytes(offset + size, file.size);
  check(end.length <= 98 && same(end, zipEnd(count, size, offset)));
  const files = new Map();
  let [at, position, top] = [0, 0, null];
  for (let n = 0; n < count; n += 1) {
    check(at + 46 <= directory.length);
    const name = text(directory.subarray(at + 46, at + 46 + zipNumber(directory, at + 28, 2)));
    check(name !== null && /^[\x21-\x7e]{1,128}$/.test(name));
    const entry = { name, crc: zipNumber(directory, at + 16, 4), length: zipNumber(directory, at + 24, 4), offset: position };
    const central = zipCentral(entry);
    check(entry.length < FULL && same(directory.subarray(at, at + central.length), central));
    const local = zipLocal(entry);
    const data = position + local.length;
    position = data + entry.length;
    check(position <= offset && same(await bytes(data - local.length, data), local));
    top ??= name.slice(0, name.indexOf('/') + 1);
    check(top.length > 1 && name.startsWith(top) && !files.has(name.slice(top.length)));
    files.set(name.slice(top.length), file.slice(data, position));
    at += central.length;
  }
  check(at === directory.length && position === offset);
  return files;
}
