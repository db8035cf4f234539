//! The page that opens parcels, in a browser: by hand, and against the public vectors.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use ui_tests::{Browser, Page};

fn vectors() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/vectors/parcel"))
}

/// The page, as a server hands it out.
async fn begin() -> Option<(Browser, Page)> {
    let browser = Browser::launch().await.unwrap()?;
    let page = || async {
        let kept = [(header::CACHE_CONTROL, "no-store")];
        (kept, Html(parcel::opener::page("Bailiwick")))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/open.html", get(page));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let person = browser.person().await.unwrap();
    person.goto(&format!("http://{address}/open.html")).await.unwrap();
    Some((browser, person))
}

async fn choose(page: &Page, key: bool) {
    let file = |name: &str| [vectors().join(name)];
    page.choose("Sender's certificate", &file("sender-ca.pem")).await.unwrap();
    if key {
        page.choose("Your certificate", &file("recipient.pem")).await.unwrap();
        page.choose("Your private key", &file("recipient.key.pem")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parcel_is_checked_and_opened_by_hand() {
    let Some((browser, page)) = begin().await else { return };
    page.audit().await.unwrap();
    page.screenshot_whole("opener").await.unwrap();
    page.click("Check the parcel").await.unwrap();
    page.wait_for("Choose either the ZIP file or the folder").await.unwrap();
    // Without a folder to write to, as in Firefox and Safari.
    page.ask::<bool>("delete window.showDirectoryPicker").await.unwrap();
    page.choose("ZIP file", &[vectors().join("good.zip")]).await.unwrap();
    choose(&page, false).await;
    page.click("Check the parcel").await.unwrap();
    page.wait_for("The parcel holds").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("opener-checked").await.unwrap();
    page.click("Check and open").await.unwrap();
    page.wait_for("Choose this file first").await.unwrap();
    choose(&page, true).await;
    page.click("Check and open").await.unwrap();
    page.wait_for("every file is what the sender signed").await.unwrap();
    page.wait_for("MOU Riverton/Lakeside 2025-07").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("opener-opened").await.unwrap();
    let saved = page.download("Save Müller, Jörg.txt").await.unwrap();
    assert_eq!(std::fs::read(saved).unwrap(), b"saw it\n");
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_is_opened_into_a_folder_and_a_bad_one_leaves_nothing() {
    let Some((browser, page)) = begin().await else { return };
    // The dialog can't be clicked by a test: this stands for the folder that a person would choose.
    let picker = "(() => { const kept = window.kept = new Map(); \
        const folder = (at) => ({ \
          getDirectoryHandle: async (name, { create } = {}) => { if (!create) throw new Error('none'); return folder(`${at}${name}/`); }, \
          removeEntry: async (name) => { for (const path of [...kept.keys()]) if (path.startsWith(at + name)) kept.delete(path); }, \
          getFileHandle: async (name) => ({ createWritable: async () => { const pieces = []; return { \
            write: async (piece) => pieces.push(new Blob([piece])), abort: async () => {}, \
            close: async () => kept.set(at + name, new Blob(pieces)) }; } }) }); \
        window.showDirectoryPicker = async () => folder(''); return true; })()";
    page.ask::<bool>(picker).await.unwrap();
    page.choose("Folder", &[vectors().join("good")]).await.unwrap();
    choose(&page, true).await;
    page.click("Check and open").await.unwrap();
    page.wait_for("3 files are in the folder parcel-").await.unwrap();
    let kept: Vec<String> = page.ask("[...kept.keys()].sort()").await.unwrap();
    assert_eq!(kept.len(), 11, "{kept:?}");
    assert!(kept[1].ends_with("inner/bagit.txt"), "{kept:?}");
    let film = "([...kept].find(([path]) => path.endsWith('door (2).mp4'))[1].arrayBuffer().then((b) => new Uint8Array(b).every((x) => x === 7) && b.byteLength))";
    assert_eq!(page.ask::<u64>(film).await.unwrap(), 9000);

    let copy = tempfile::tempdir().unwrap();
    let bad = copy.path().join("bad");
    copy_folder(&vectors().join("good"), &bad);
    copy_folder(&vectors().join("signed-again/content"), &bad);
    page.ask::<bool>("(kept.clear(), true)").await.unwrap();
    page.choose("Folder", &[bad]).await.unwrap();
    page.click("Check and open").await.unwrap();
    page.wait_for("Refused. data/000/part-000001.p7m").await.unwrap();
    page.wait_for("Sealed in it: camera/door (2).mp4, bytes").await.unwrap();
    assert_eq!(page.ask::<u64>("kept.size").await.unwrap(), 0);
    page.audit().await.unwrap();
    page.screenshot_whole("opener-refused").await.unwrap();
    browser.close().await.unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Every file below, by path, in base64.
fn files(folder: &Path, prefix: &str, out: &mut serde_json::Map<String, Value>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            files(&path, &format!("{name}/"), out);
        } else {
            out.insert(name, STANDARD.encode(std::fs::read(path).unwrap()).into());
        }
    }
}

/// All that the vectors need, and the changes, in the page.
const JUDGE: &str = r"(async () => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const raw = new Map(Object.entries(GIVEN).map(([path, text]) => [path, bytes(text)]));
  const pem = (name) => bytes(new TextDecoder().decode(raw.get(name)).replace(/-----[^-]+-----|\s/g, ''));
  const index = JSON.parse(new TextDecoder().decode(raw.get('index.json')));
  const below = (top) => new Map([...raw].filter(([path]) => path.startsWith(`${top}/`)).map(([path, b]) => [path.slice(top.length + 1), b]));
  const blobs = (files) => new Map([...files].map(([path, b]) => [path, new Blob([b])]));
  const keys = { certificate: pem(index.recipient), key: pem(index.key) };
  const given = (change) => ({ senders: [pem(change.sender ?? index.sender)], now: Date.parse(change.at ?? index.at) });
  const wrong = [];
  const good = await judge(blobs(below(index.parcel)), { ...given({}), ...keys });
  if (good.digest !== index.digest || JSON.stringify(good.files) !== JSON.stringify(index.files)) wrong.push(['good', good]);
  for (const change of index.changes) {
    const files = below(index.parcel);
    for (const one of change.do) {
      const name = one.flip ?? one.cut ?? one.put ?? one.remove ?? one.copy;
      if (one.flip) { const b = files.get(name).slice(); b[one.offset] ^= one.xor; files.set(name, b); }
      else if (one.cut) files.set(name, files.get(name).slice(0, one.length));
      else if (one.put) files.set(name, new TextEncoder().encode(one.text));
      else if (one.remove) files.delete(name);
      else if (one.copy) files.set(name, raw.get(one.from));
      else for (const [path, b] of below(one.overlay)) files.set(path, b);
    }
    if (change.key) {
      const outside = await judge(blobs(files), given(change));
      if (!outside.holds) wrong.push([change, outside]);
    }
    const found = await judge(blobs(files), { ...given(change), ...(change.key ? keys : {}) });
    if (found.holds || found.file !== change.names) wrong.push([change, found]);
  }
  const zip = raw.get(index.zip);
  const unzip = async (b, more = {}) => {
    try { return await judge(await zipFiles(new File([b], 'a.zip')), { ...given({}), ...more }); }
    catch (error) { if (error.file === undefined) throw error; return { holds: false }; }
  };
  const whole = await unzip(zip, keys);
  if (JSON.stringify(whole.files) !== JSON.stringify(index.files)) wrong.push(['zip', whole]);
  for (const change of index.zip_changes) {
    const b = change.cut === undefined ? zip.slice() : zip.slice(0, change.cut);
    if (change.flip !== undefined) b[change.flip] ^= change.xor;
    const found = await unzip(b);
    if (found.holds) wrong.push([change, found]);
  }
  return { judged: index.changes.length + index.zip_changes.length + 2, wrong };
})()";

#[tokio::test(flavor = "multi_thread")]
async fn browser_judges_the_vectors_as_their_index_says() {
    let Some((browser, page)) = begin().await else { return };
    let mut given = serde_json::Map::new();
    files(&vectors(), "", &mut given);
    let answer: Value = page.ask(&JUDGE.replace("GIVEN", &json!(given).to_string())).await.unwrap();
    assert_eq!(answer["wrong"], json!([]), "of {}", answer["judged"]);
    assert!(answer["judged"].as_u64().unwrap() > 200, "{}", answer["judged"]);
    browser.close().await.unwrap();
}

fn done(command: &mut std::process::Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A key and a certificate for it, signed by itself.
fn certified(folder: &Path, name: &str, key: &[&str], usage: &str) {
    let mut openssl = std::process::Command::new("openssl");
    openssl.current_dir(folder).args(["req", "-x509", "-noenc", "-days", "30"]).args(key);
    openssl.args([
        "-subj",
        &format!("/CN={name}"),
        "-addext",
        &format!("keyUsage=critical,{usage}"),
    ]);
    openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    done(&mut openssl);
}

#[tokio::test(flavor = "multi_thread")]
async fn parcel_sealed_to_an_rsa_certificate_opens_with_it() {
    let Some((browser, page)) = begin().await else { return };
    let folder = tempfile::tempdir().unwrap();
    certified(folder.path(), "partner", &["-newkey", "rsa:3072"], "keyEncipherment");
    let p384 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
    certified(folder.path(), "sender", &p384, "digitalSignature");
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::write(folder.path().join("in/statement.txt"), "saw it\n").unwrap();
    let mut seal = std::process::Command::new(testkit::bailiwick().unwrap());
    seal.current_dir(folder.path()).args(["parcel", "seal", "in", "--recipient", "partner.pem"]);
    seal.args(["--signer", "sender.pem", "--key", "sender.key", "--out", "p.zip"]);
    assert!(!seal.output().unwrap().status.success(), "RSA without a word for it");
    done(seal.arg("--allow-rsa-oaep"));
    let file = |name: &str| [folder.path().join(name)];
    page.ask::<bool>("delete window.showDirectoryPicker").await.unwrap();
    page.choose("ZIP file", &file("p.zip")).await.unwrap();
    page.choose("Sender's certificate", &file("sender.pem")).await.unwrap();
    page.choose("Your certificate", &file("partner.pem")).await.unwrap();
    page.choose("Your private key", &file("partner.key")).await.unwrap();
    page.click("Check and open").await.unwrap();
    page.wait_for("every file is what the sender signed").await.unwrap();
    page.audit().await.unwrap();
    let saved = page.download("Save statement.txt").await.unwrap();
    assert_eq!(std::fs::read(saved).unwrap(), b"saw it\n");
    browser.close().await.unwrap();
}
