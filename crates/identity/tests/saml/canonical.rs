//! Our canonical form beside that of libxml2, through lxml, on documents that were made at random.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Documents, each canonicalized from several of its elements.
const DOCUMENTS: usize = 1200;

/// Reads one case a line (`PrefixList<TAB>ID<TAB>XML as a JSON string`) and prints the SHA-256 of its canonical form.
const SCRIPT: &str = "
import hashlib, json, sys
from lxml import etree
parser = etree.XMLParser(resolve_entities=False, remove_comments=False, strip_cdata=False)
for line in sys.stdin:
    prefixes, name, text = line.rstrip('\\n').split('\\t', 2)
    root = etree.fromstring(json.loads(text).encode(), parser)
    apex = [node for node in root.iter() if node.get('ID') == name][0]
    tail, apex.tail = apex.tail, None
    canonical = etree.tostring(apex, method='c14n', exclusive=True, with_comments=False,
                               inclusive_ns_prefixes=prefixes.split() or None)
    apex.tail = tail
    print(hashlib.sha256(canonical).hexdigest())
";

/// A generator that is the same on every machine (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

const PREFIXES: [&str; 3] = ["a", "b", "c"];
const TEXTS: [&str; 12] = [
    "text",
    " ",
    "\n\t",
    "a &amp; b &lt; c &gt; d",
    "&#13;&#10;&#9;",
    "\r\n",
    "é – 漢 𝄞",
    "\"'",
    "<!-- comment -->",
    "<?target  some data?>",
    "<![CDATA[<x> & ]]>",
    "]]&gt;",
];
const VALUES: [&str; 8] =
    ["", "plain", "&lt;&amp;&gt;", "&quot;'", "&#9;&#10;&#13;", " two  spaces ", "é漢", "urn:1"];

/// Writes an element; `bound` are the prefixes that are in scope, with their namespaces.
fn element(
    dice: &mut Dice,
    out: &mut String,
    bound: &[(&str, String)],
    depth: usize,
    n: &mut usize,
) {
    let mut bound = bound.to_vec();
    let mut declared = String::new();
    for prefix in PREFIXES {
        if dice.roll(3) == 0 {
            let namespace = format!("urn:{}", dice.roll(4));
            write!(declared, " xmlns:{prefix}=\"{namespace}\"").unwrap();
            bound.retain(|(known, _)| *known != prefix);
            bound.push((prefix, namespace));
        }
    }
    match dice.roll(5) {
        0 => declared += " xmlns=\"\"",
        1 => write!(declared, " xmlns=\"urn:{}\"", dice.roll(4)).unwrap(),
        _ => {}
    }
    let prefixed = |dice: &mut Dice, local: &str| match dice.roll(bound.len() + 1) {
        0 => (local.to_owned(), String::new()),
        at => (format!("{}:{local}", bound[at - 1].0), bound[at - 1].1.clone()),
    };
    let local = dice.pick(&["e", "f", "Name-1", "_x"]);
    let (name, _) = prefixed(dice, local);
    let mut attributes = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..dice.roll(5) {
        let local = dice.pick(&["x", "y", "Z", "lang"]);
        let (name, namespace) = prefixed(dice, local);
        if seen.insert((namespace, local)) {
            attributes.push(format!(" {name}=\"{}\"", dice.pick(&VALUES)));
        }
    }
    if dice.roll(8) == 0 {
        attributes.push(" xml:lang='en'".to_owned());
    }
    // Declarations and attributes in any order; white space as it comes.
    let id = format!("  ID = \"i{n}\"");
    *n += 1;
    if dice.roll(2) == 0 {
        declared = format!("{}{declared}", attributes.concat());
    } else {
        declared += &attributes.concat();
    }
    write!(out, "<{name}{declared}{id} >").unwrap();
    for _ in 0..dice.roll(5) {
        if depth > 0 && dice.roll(2) == 0 {
            element(dice, out, &bound, depth - 1, n);
        } else {
            out.push_str(dice.pick(&TEXTS));
        }
    }
    write!(out, "</{name}>").unwrap();
}

#[test]
fn a_thousand_random_documents_are_canonical_as_libxml2_has_them() {
    let python = testkit::target().unwrap().join("python/bin/python");
    let name = python.to_str().unwrap();
    let Some(python) = testkit::need("the canonical form of libxml2", &[name]).unwrap() else {
        return;
    };
    if !Command::new(&python).args(["-c", "import lxml"]).status().unwrap().success() {
        assert!(!testkit::in_ci(), "lxml is missing: `make setup` installs it");
        eprintln!("skipped: lxml is missing, `make setup` installs it");
        return;
    }
    let mut dice = Dice(20_261_125);
    let (mut lines, mut ours, mut shown) = (String::new(), Vec::new(), Vec::new());
    for _ in 0..DOCUMENTS {
        let (mut xml, mut elements) = (String::new(), 0);
        element(&mut dice, &mut xml, &[], 4, &mut elements);
        let document = roxmltree::Document::parse(&xml).unwrap();
        for _ in 0..3 {
            let id = format!("i{}", dice.roll(elements));
            let kept: Vec<&str> = PREFIXES.into_iter().filter(|_| dice.roll(4) == 0).collect();
            let apex = document.descendants().find(|node| node.attribute("ID") == Some(&*id));
            let bytes = identity::c14n::exclusive(apex.unwrap(), None, &kept);
            ours.push(hex::encode(keys::digest::sha256(&bytes)));
            let json = serde_json::to_string(&xml).unwrap();
            writeln!(lines, "{}\t{id}\t{json}", kept.join(" ")).unwrap();
            shown.push((xml.clone(), id, kept, String::from_utf8(bytes).unwrap()));
        }
    }
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let theirs = String::from_utf8(done.stdout).unwrap();
    let theirs: Vec<&str> = theirs.lines().collect();
    assert_eq!(theirs.len(), ours.len(), "lxml read all of them");
    let differ: Vec<_> =
        (0..ours.len()).filter(|at| ours[*at] != theirs[*at]).map(|at| &shown[at]).collect();
    assert!(differ.is_empty(), "{} of {} differ: {:#?}", differ.len(), ours.len(), differ.first());
    eprintln!("{DOCUMENTS} documents, {} subtrees: the same as libxml2's", ours.len());
}
