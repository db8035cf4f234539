//! A sender who holds a good signing key and means ill: what the outer signature can't exclude, the inside must.

mod vectors;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use keys::SystemRandom;
use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::digest::sha256;
use keys::seal::SealingKey;
use keys::sign::{P384Key, RsaBits};
use tempfile::TempDir;

use crate::bag::{self, part_path};
use crate::cms::recipient::Address;
use crate::cms::{envelope, signature};
use crate::meta::{Party, Transfer};
use crate::{Entry, Fault, Parcel, Recipient, Seal, Signer, Trust, Watch};

const PART: u64 = 1024;

fn now() -> Timestamp {
    "2026-11-22T21:30:05Z".parse().unwrap()
}

struct World {
    folder: TempDir,
    ca: (Certificate, P384Key),
    sender: Signer,
    first: Recipient,
    second: Recipient,
}

fn spec(name: &str, usage: Usage) -> CertSpec {
    CertSpec {
        subject_cn: name.into(),
        organisation: "Riverton Police Department".into(),
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2049-01-01T00:00:00Z".parse().unwrap(),
        usage,
        dns: vec![],
        ips: vec![],
        uris: vec![],
    }
}

fn certificate(name: &str, usage: Usage) -> (Certificate, P384Key) {
    let key = P384Key::generate().unwrap();
    (issue(&spec(name, usage), &key, None, &SystemRandom).unwrap(), key)
}

impl World {
    fn new() -> Self {
        let ca = certificate("Riverton CA", Usage::Ca);
        let issued = |name, usage| {
            let key = P384Key::generate().unwrap();
            let issuer = Some((&ca.0, &ca.1));
            (issue(&spec(name, usage), &key, issuer, &SystemRandom).unwrap(), key)
        };
        let recipient = |name| {
            let (certificate, key) = issued(name, Usage::KeyAgreement);
            Recipient { certificate, key: key.into() }
        };
        let (leaf, key) = issued("Riverton parcels", Usage::Signing);
        Self {
            folder: tempfile::tempdir().unwrap(),
            sender: Signer { chain: vec![leaf], key },
            first: recipient("Lakeside"),
            second: recipient("Lakeside spare"),
            ca,
        }
    }

    fn trust(&self) -> Trust {
        Trust { senders: self.sender.chain.clone(), now: now() }
    }

    fn addresses(&self) -> Vec<Address> {
        let both = [&self.first, &self.second];
        both.into_iter().map(|r| Address::of(&r.certificate, false).unwrap()).collect()
    }

    /// Seals one file in small parts.
    fn sealed(&self, name: &str, id: &str, bytes: &[u8]) -> PathBuf {
        let party = |ori: &str| Party { ori: ori.into(), name: "Riverton Police".into() };
        let out = self.folder.path().join(name);
        let seal = Seal {
            id: id.parse().unwrap(),
            sender: &self.sender,
            recipients: vec![self.first.certificate.clone(), self.second.certificate.clone()],
            allow_rsa_oaep: true,
            part_size: PART,
            workers: 1,
            entries: vec![Entry::from_bytes("a.bin", "x/y", now(), bytes.to_vec())],
            transfer: Transfer {
                exchange_id: "EX-1".into(),
                exchange_number: None,
                purpose: "C".into(),
                authority: "MOU".into(),
                case_number: None,
                handling: vec![],
                record_classes: Vec::new(),
                retention: None,
                sender: party("NB0010100"),
                recipient: party("NB0020000"),
            },
            custody: vec![],
            custody_document: false,
            now: now(),
            random: &SystemRandom,
            watch: Watch::none(),
        };
        crate::seal(seal, &out).unwrap();
        out
    }

    /// Makes manifest, tag manifest, template and outer signature fit the parts that are there.
    fn sign_again(&self, parcel: &Path) {
        let read = |file: &str| std::fs::read(parcel.join(file)).unwrap();
        let write = |file: &str, bytes: &[u8]| std::fs::write(parcel.join(file), bytes).unwrap();
        let mut info = bag::OuterInfo::read(&read(bag::INFO_FILE)).unwrap();
        info.bytes = (0..info.parts).map(|n| read(&part_path(n)).len() as u64).sum();
        write(bag::INFO_FILE, info.write().as_bytes());
        let paths = (0..info.parts).map(part_path);
        let lines = paths.map(|path| bag::line(&sha256(&read(&path)), &path));
        write(bag::MANIFEST_FILE, lines.collect::<String>().as_bytes());
        let tags = bag::OUTER_TAGS.map(|file| (file, read(file)));
        let tags = tags.each_ref().map(|(file, bytes)| (*file, bytes.as_slice()));
        let tag_manifest = bag::tag_manifest(&tags);
        write(bag::TAG_MANIFEST_FILE, tag_manifest.as_bytes());
        let template = bag::receipt_template(info.id, &sha256(tag_manifest.as_bytes()));
        write(bag::TEMPLATE_FILE, template.as_bytes());
        let signed = signature::sign(tag_manifest.as_bytes(), &self.sender, now()).unwrap();
        write(bag::SIGNATURE_FILE, &signed);
    }
}

const ID: &str = "0b8c6d2e-93f5-4b57-8f3a-5d1f6b1c2a77";
const OTHER: &str = "0b8c6d2e-93f5-4b57-8f3a-5d1f6b1c2a78";

#[test]
fn part_sealed_anew_with_other_content_is_refused_by_its_leaf() {
    let world = World::new();
    let parcel = world.sealed("parcel", ID, &[7; 3000]);
    let mut other = vec![8; 1024];
    let (head, mac) = envelope::seal(&world.addresses(), &mut other, &SystemRandom).unwrap();
    std::fs::write(parcel.join(part_path(1)), [head, other, mac].concat()).unwrap();
    world.sign_again(&parcel);
    // The outside is the sender's own work; only a key tells.
    crate::verify(&parcel, &world.trust(), Watch::none()).unwrap();
    let entered = Parcel::enter(&parcel, &world.trust()).unwrap();
    let unlocked = entered.unlock(&world.first).unwrap();
    let refused = unlocked.read("a.bin", 0, 3000).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Altered), "{refused}");
    assert_eq!((refused.range, refused.file.as_str()), (Some((1024, 2048)), part_path(1).as_str()));
    assert_eq!(refused.inside[0].to_string(), "a.bin (bytes 512 to 1536)");
    // The piece that lies in another part can be had.
    assert_eq!(unlocked.read("a.bin", 1600, 1700).unwrap(), [7; 100]);
}

#[test]
fn part_of_another_parcel_is_refused_though_all_signatures_hold() {
    let world = World::new();
    let parcel = world.sealed("parcel", ID, &[7; 3000]);
    let other = world.sealed("other", OTHER, &[8; 3000]);
    std::fs::copy(other.join(part_path(0)), parcel.join(part_path(0))).unwrap();
    world.sign_again(&parcel);
    let refused = crate::open_file(&parcel, &world.second, &world.trust(), "a.bin", None);
    assert!(matches!(*refused.unwrap_err().fault, Fault::Altered));
    // All of the other's inside under this outside.
    let parts = crate::inspect(&parcel).unwrap().parts;
    for number in 0..parts {
        std::fs::copy(other.join(part_path(number)), parcel.join(part_path(number))).unwrap();
    }
    world.sign_again(&parcel);
    let refused = crate::open_file(&parcel, &world.second, &world.trust(), "a.bin", None);
    let refused = refused.unwrap_err();
    assert!(matches!(*refused.fault, Fault::OtherParcel { .. }), "{refused}");
}

#[test]
fn parcel_whose_rsa_recipient_is_hidden_or_made_up_outside_is_refused() {
    let mut world = World::new();
    world.second = envelope::rsa_tests::recipient(RsaBits::Rsa2048, Usage::KeyEncipherment);
    let parcel = world.sealed("parcel", ID, &[7; 3000]);
    let read = |who| crate::open_file(&parcel, who, &world.trust(), "a.bin", None);
    assert_eq!(read(&world.second).unwrap(), [7; 3000]);
    let mark = |rsa_oaep: bool| {
        let path = parcel.join(bag::INFO_FILE);
        let mut info = bag::OuterInfo::read(&std::fs::read(&path).unwrap()).unwrap();
        info.rsa_oaep = rsa_oaep;
        std::fs::write(&path, info.write()).unwrap();
        world.sign_again(&parcel);
    };
    mark(false);
    // Without a key, too: nobody gets a receipt for what would be refused when it is opened.
    let refused = crate::verify(&parcel, &world.trust(), Watch::none()).unwrap_err();
    assert!(
        matches!(*refused.fault, Fault::Malformed(_)) && refused.file == part_path(0),
        "{refused}"
    );
    for who in [&world.first, &world.second] {
        assert!(matches!(*read(who).unwrap_err().fault, Fault::Malformed(_)));
    }
    mark(true);
    crate::verify(&parcel, &world.trust(), Watch::none()).unwrap();
    assert_eq!(read(&world.first).unwrap(), [7; 3000]);
    let plain = World::new();
    let parcel = plain.sealed("parcel", ID, &[7; 3000]);
    let path = parcel.join(bag::INFO_FILE);
    let info = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, info.replacen("Recipient-", "Key-Transport: RSA-OAEP\nRecipient-", 1))
        .unwrap();
    plain.sign_again(&parcel);
    let refused = crate::open_file(&parcel, &plain.first, &plain.trust(), "a.bin", None);
    assert!(matches!(*refused.unwrap_err().fault, Fault::Malformed(_)));
}

#[test]
fn index_with_names_or_places_that_no_sender_writes_is_refused() {
    let world = World::new();
    let parcel = world.sealed("parcel", ID, &[7; 3000]);
    let entered = Parcel::enter(&parcel, &world.trust()).unwrap();
    let unlocked = entered.unlock(&world.first).unwrap();
    let index = unlocked.index();
    assert!(entered.fits(index));
    for name in ["../a.b", "/a.bin", "a\\bin", "a/./b", "a\u{202e}b", "con.x", ""] {
        let mut bad = index.clone();
        bad.files[0].path = name.to_owned();
        assert!(!entered.fits(&bad), "{name}");
    }
    let mut bad = index.clone();
    bad.files[0].offset += 512;
    assert!(!entered.fits(&bad));
    let mut bad = index.clone();
    bad.leaves.pop();
    assert!(!entered.fits(&bad));
    let mut bad = index.clone();
    bad.files.clear();
    assert!(!entered.fits(&bad));
}

/// One block of AES-256, by `openssl`: `keys` lets nobody choose a nonce, and so can't make this.
fn aes(key: &[u8; 32], blocks: &[[u8; 16]]) -> Vec<[u8; 16]> {
    let mut child = Command::new("openssl")
        .args(["enc", "-aes-256-ecb", "-nopad", "-K", &hex::encode(key)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), blocks.as_flattened()).unwrap();
    let out = child.wait_with_output().unwrap().stdout;
    out.chunks_exact(16).map(|block| block.try_into().unwrap()).collect()
}

/// Product in GCM's field (SP 800-38D §6.3).
fn times(x: u128, y: u128) -> u128 {
    let (mut z, mut v) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            z ^= v;
        }
        v = (v >> 1) ^ if v & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    z
}

fn power(x: u128, mut exponent: u128) -> u128 {
    // One, in this field's order of bits.
    let (mut out, mut base) = (1 << 127, x);
    while exponent > 0 {
        if exponent & 1 == 1 {
            out = times(out, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    out
}

/// GHASH of whole blocks and their length, and the mask of the tag.
fn tag(h: u128, mask: u128, blocks: &[u128]) -> u128 {
    let length = (blocks.len() * 128) as u128;
    blocks.iter().chain([&length]).fold(0, |sum, block| times(sum ^ block, h)) ^ mask
}

/// What GCM needs of one key and nonce for so many blocks: H, the tag's mask, the key stream.
fn stream(key: &[u8; 32], nonce: &[u8; 12], blocks: usize) -> (u128, u128, Vec<u128>) {
    let counter = |n: usize| -> [u8; 16] {
        let tail = u32::try_from(n).unwrap().to_be_bytes();
        [nonce.as_slice(), &tail].concat().try_into().unwrap()
    };
    let mut inputs = vec![[0; 16]];
    inputs.extend((1..=blocks + 1).map(counter));
    let mut out = aes(key, &inputs).into_iter().map(u128::from_be_bytes);
    (out.next().unwrap(), out.next().unwrap(), out.collect())
}

#[test]
fn part_that_opens_differently_for_two_recipients_is_refused() {
    let world = World::new();
    let (keys, nonce) = ([[1_u8; 32], [2_u8; 32]], [3_u8; 12]);
    let blocks = usize::try_from(PART).unwrap() / 16;
    let (h1, mask1, stream1) = stream(&keys[0], &nonce, blocks);
    let (h2, mask2, _) = stream(&keys[1], &nonce, blocks);
    // What the first is to read: the archive's header, then sevens, and one block that pays for it.
    let header = crate::pax::header("inner/data/a.bin", 3000, now().as_second().unsigned_abs());
    let plain = [header, vec![7; 512]].concat();
    let plain = plain.chunks_exact(16).map(|b| u128::from_be_bytes(b.try_into().unwrap()));
    let mut sealed: Vec<u128> = plain.zip(&stream1).map(|(p, s)| p ^ s).collect();
    let free = blocks - 1;
    sealed[free] = 0;
    let differs = tag(h1, mask1, &sealed) ^ tag(h2, mask2, &sealed);
    // The last block counts H squared times; both tags agree if it makes up for the difference.
    let weight = power(h1, 2) ^ power(h2, 2);
    sealed[free] = times(differs, power(weight, u128::MAX - 1));
    let mac = tag(h1, mask1, &sealed);
    assert_eq!(mac, tag(h2, mask2, &sealed), "one tag for two keys");
    let paid = (sealed[free] ^ stream1[free]).to_be_bytes();
    let file = [[7; 496].as_slice(), &paid, &[7; 3000 - 512]].concat();

    let parcel = world.sealed("parcel", ID, &file);
    let recipients = [&world.first, &world.second].map(|r| r.certificate.clone());
    let content: Vec<u8> = sealed.iter().flat_map(|block| block.to_be_bytes()).collect();
    let part = envelope::tests::assembled(&recipients, &keys, &nonce, &content, &mac.to_be_bytes());
    // To GCM the part is right for both keys.
    for key in keys {
        let mut open = [content.as_slice(), &mac.to_be_bytes()].concat();
        SealingKey::from_bytes(key).open_in_place(&[], &nonce, &mut open).unwrap();
    }
    std::fs::write(parcel.join(part_path(0)), part).unwrap();
    world.sign_again(&parcel);
    let read = |who| crate::open_file(&parcel, who, &world.trust(), "a.bin", None);
    assert_eq!(read(&world.first).unwrap(), file);
    let refused = read(&world.second).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Altered), "{refused}");
    assert_eq!(refused.inside[0].to_string(), "a.bin (bytes 0 to 512)");
}
