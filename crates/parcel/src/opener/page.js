// The page itself: what was chosen goes in, what was found is said. Words are set as text, never as markup.

const at = (id) => document.getElementById(id);
const KEY_BYTES_MAX = 65_536;
// Files without a folder to write to are held by the browser until they are saved.
const HELD_BYTES_MAX = 2 ** 31;

function say(state, words) {
  const outcome = at('outcome');
  outcome.hidden = false;
  outcome.dataset.state = state;
  at('said').textContent = words;
}

function fact(name, value) {
  const [term, words] = [document.createElement('dt'), document.createElement('dd')];
  term.textContent = name;
  words.textContent = value;
  at('facts').append(term, words);
}

// Tells of progress: how much, how fast, how long still.
function meter(what, bytesAt) {
  const started = performance.now();
  return (done, all) => {
    const seconds = (performance.now() - started) / 1000;
    at('progress').max = all;
    at('progress').value = done;
    const rate = bytesAt(done) / Math.max(seconds, 0.001);
    const left = Math.round((bytesAt(all) - bytesAt(done)) / Math.max(rate, 1));
    at('rate').textContent = `${what}: part ${done} of ${all}, ${sizeText(Math.round(rate))} a second, ${left} s left`;
  };
}

async function chosen(id, label) {
  const [file] = at(id).files;
  need(file, label, 'Choose this file first.');
  need(file.size <= KEY_BYTES_MAX, label, 'This file is far too long.');
  return new Uint8Array(await file.arrayBuffer());
}

async function chosenCertificates(id, label) {
  const blocks = pemBlocks(await chosen(id, label), 'CERTIFICATE');
  need(blocks.length > 0, label, 'This file holds no certificate.');
  return blocks;
}

async function chosenParcel() {
  const [zip] = at('zip').files;
  const list = [...at('folder').files];
  need(Boolean(zip) !== list.length > 0, 'the parcel', 'Choose either the ZIP file or the folder.');
  if (zip) return zipFiles(zip);
  return new Map(list.map((file) => [file.webkitRelativePath.slice(file.webkitRelativePath.indexOf('/') + 1), file]));
}

async function chosenRecipient() {
  const [certificate] = await chosenCertificates('certificate', 'your certificate');
  const bytes = await chosen('key', 'your private key');
  const locked = 'It has a password, or is in another form. This is said to make PKCS#8 without one: openssl pkcs8 -topk8 -nocrypt';
  const [key] = pemBlocks(bytes, 'PRIVATE KEY');
  need(key, 'your private key', locked);
  return readRecipient(certificate, key);
}

// Writes into a new folder in the one that the person chose: `parcel-ID/inner/…`, the sender's own bag. On failure it is removed.
async function folderSink(root, id) {
  const name = `parcel-${id}`;
  const there = await root.getDirectoryHandle(name).catch(() => null);
  need(!there, name, 'There is a folder of this name already. Choose another place, or remove it.');
  const top = await (await root.getDirectoryHandle(name, { create: true })).getDirectoryHandle('inner', { create: true });
  const create = async (path) => {
    const names = path.split('/');
    const last = names.pop();
    let folder = top;
    for (const one of names) folder = await folder.getDirectoryHandle(one, { create: true });
    return (await folder.getFileHandle(last, { create: true })).createWritable();
  };
  let file = null;
  return {
    async begin({ path }) {
      file = await create(`data/${path}`);
    },
    write: (piece) => file.write(piece),
    end: () => file.close(),
    abort: () => file.abort(),
    async tags(list) {
      for (const [path, bytes] of list) {
        const tag = await create(path);
        await tag.write(bytes);
        await tag.close();
      }
    },
    discard: () => root.removeEntry(name, { recursive: true }),
  };
}

// Keeps each file for a link that saves it.
function heldSink(rows) {
  let pieces = [];
  let current = null;
  return {
    async begin(file) {
      [current, pieces] = [file, []];
    },
    // A copy, which the browser may move out of memory.
    write: async (piece) => pieces.push(new Blob([piece])),
    async end() {
      rows.push([current, URL.createObjectURL(new Blob(pieces, { type: 'application/octet-stream' }))]);
    },
    async abort() {
      pieces = [];
    },
    async tags() {},
    async discard() {
      for (const [, link] of rows) URL.revokeObjectURL(link);
    },
  };
}

function showFiles(index, links) {
  const table = document.createElement('table');
  table.createCaption().textContent = 'Files';
  const headRow = table.createTHead().insertRow();
  for (const name of ['File', 'Bytes', 'SHA-256', ...(links.size > 0 ? ['Save'] : [])]) {
    const cell = document.createElement('th');
    cell.scope = 'col';
    if (name === 'Bytes') cell.className = 'number';
    cell.textContent = name;
    headRow.append(cell);
  }
  const body = table.createTBody();
  for (const file of index.files) {
    const row = body.insertRow();
    row.insertCell().textContent = file.path;
    const bytes = row.insertCell();
    bytes.className = 'number';
    bytes.textContent = file.length.toLocaleString('en');
    const code = document.createElement('code');
    code.textContent = file.sha256;
    row.insertCell().append(code);
    if (links.size === 0) continue;
    const link = document.createElement('a');
    link.className = 'save';
    link.href = links.get(file.path);
    link.download = file.path.slice(file.path.lastIndexOf('/') + 1);
    link.textContent = `Save ${link.download}`;
    row.insertCell().append(link);
  }
  const scroll = document.createElement('div');
  scroll.className = 'scroll';
  scroll.setAttribute('role', 'region');
  scroll.setAttribute('aria-label', 'Files');
  scroll.tabIndex = 0;
  scroll.append(table);
  at('files').replaceChildren(scroll);
}

function showParcel(parcel) {
  fact('Parcel', parcel.info.id);
  fact('Sent by', `${parcel.info.sender.name} (${parcel.info.sender.ori})`);
  fact('Signed by', parcel.signer.name);
  fact('Signed at', `${new Date(parcel.signedAt).toISOString()} (the sender's own word)`);
  fact('Digest', parcel.digest);
}

function showRecord({ transfer }) {
  fact('Purpose', transfer.purpose);
  fact('Authority', transfer.authority);
  if (transfer.case_number) fact('Case', transfer.case_number);
  for (const name of transfer.record_classes ?? []) fact('Records', name);
  for (const caveat of transfer.handling) fact('Handling', caveat);
  if (transfer.retention) fact('Retention', transfer.retention);
}

function complain(error) {
  if (error?.name === 'AbortError') return say('bad', 'No folder was chosen. Nothing was opened.');
  if (!(error instanceof Refusal)) return say('bad', `This could not be done: ${error.message.replace(/\.$/, '')}. Nothing was opened.`);
  const words = [`Refused. ${error.file}: ${error.message}.`.replace(/\.\.$/, '.')];
  if (error.range) words.push(`It carries bytes ${error.range[0]} to ${error.range[1]} of the archive.`);
  if (error.others?.length > 0) words.push(`Also ${error.others.join(', ')}.`);
  for (const piece of error.inside) words.push(`Sealed in it: ${piece.path}, bytes ${piece.from} to ${piece.to}.`);
  return say('bad', words.join(' '));
}

async function run(opening) {
  at('facts').replaceChildren();
  for (const link of at('files').querySelectorAll('a')) URL.revokeObjectURL(link.href);
  at('files').replaceChildren();
  const day = at('at').value;
  const now = day ? Date.parse(`${day}T23:59:59Z`) : Date.now();
  // While the click still counts as one: a browser shows its folder dialog only then.
  const root = opening && window.showDirectoryPicker ? await window.showDirectoryPicker({ mode: 'readwrite' }) : null;
  const recipient = opening ? await chosenRecipient() : null;
  const files = await chosenParcel();
  const senders = (await chosenCertificates('sender', "the sender's certificate")).map((der) => Certificate.read(der));
  say('busy', 'Checking the signature and every part …');
  at('progress-row').hidden = false;
  const parcel = await enterParcel(files, { senders, now });
  await checkParts(parcel, meter('checking', (parts) => (parcel.info.bytes / parcel.info.parts) * parts));
  if (!opening) {
    showParcel(parcel);
    return say('good', `The parcel holds: ${parcel.info.parts} parts, ${sizeText(parcel.info.bytes)}. Nothing was opened.`);
  }
  const unlocked = await unlockParcel(parcel, recipient);
  const bytes = unlocked.index.files.reduce((sum, file) => sum + file.length, 0);
  need(root || bytes <= HELD_BYTES_MAX, 'the parcel', 'It is too large for this browser, which can not write to a folder. Use Chrome or Edge.');
  say('busy', 'Opening …');
  const rows = [];
  const sink = root ? await folderSink(root, parcel.info.id) : heldSink(rows);
  try {
    await openParcel(unlocked, sink, meter('opening', (parts) => parts * parcel.info.partSize));
    await sink.tags(unlocked.tags);
  } catch (error) {
    await sink.discard();
    throw error;
  }
  showParcel(parcel);
  showRecord(unlocked.record);
  showFiles(unlocked.index, new Map(rows.map(([file, link]) => [file.path, link])));
  const where = root ? `in the folder parcel-${parcel.info.id}` : 'below, to be saved one by one';
  return say('good', `The parcel holds, and every file is what the sender signed. ${unlocked.index.files.length} files are ${where}.`);
}

async function act(opening) {
  const buttons = [at('check'), at('open')];
  for (const button of buttons) button.disabled = true;
  try {
    await run(opening);
  } catch (error) {
    complain(error);
  }
  at('progress-row').hidden = true;
  for (const button of buttons) button.disabled = false;
  at('outcome').focus();
}

at('check').addEventListener('click', () => act(false));
at('form').addEventListener('submit', (event) => {
  event.preventDefault();
  act(true);
});
// For whoever holds this page to test vectors.
globalThis.judge = judge;
globalThis.zipFiles = zipFiles;
