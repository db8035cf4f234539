//! Bags that others made: the conformance suite of the Library of Congress, and what it has not.

use std::path::{Path, PathBuf};

use parcel::{Fault, Refused, Watch, bagit};

use crate::support::{World, quick_folder};

fn bags(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut bags: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    bags.sort();
    assert!(!bags.is_empty(), "{}", folder.display());
    bags
}

#[test]
fn conformance_suite_is_judged_as_it_says() {
    let Some(suite) = testkit::corpus("bagit/v0.97").unwrap() else { return };
    let judge = |bag: &PathBuf| bagit::check(bag, Watch::none());
    for bag in bags(&suite.join("valid")) {
        judge(&bag).unwrap_or_else(|refused| panic!("{}: {refused}", bag.display()));
    }
    for kind in ["invalid", "linux-only", "windows-only"] {
        for bag in bags(&suite.join(kind)) {
            judge(&bag).expect_err(&bag.display().to_string());
        }
    }
    for bag in bags(&suite.join("warning")) {
        let found = judge(&bag).unwrap_or_else(|refused| panic!("{}: {refused}", bag.display()));
        assert!(!found.warnings.is_empty(), "{}", bag.display());
    }
}

const SUM: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const MD5: &str = "5d41402abc4b2a76b9719d911017c592";
const DECLARED: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// A bag of these files, judged.
fn judge(files: &[(&str, &str)]) -> Result<bagit::Bag, Refused> {
    let folder = quick_folder();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    bagit::check(folder.path(), Watch::none())
}

#[test]
fn version_one_is_judged_by_its_rfc() {
    let manifest = format!("{SUM}  data/a\n");
    let good = [("bagit.txt", DECLARED), ("data/a", "hello"), ("manifest-sha256.txt", &*manifest)];
    let bag = judge(&good).unwrap();
    assert_eq!((bag.version.as_str(), bag.bytes, bag.warnings.len()), ("1.0", 5, 0));
    let with = |path: &'static str, text: &str| {
        let mut files: Vec<(&str, &str)> =
            good.iter().copied().filter(|(p, _)| *p != path).collect();
        files.push((path, text));
        judge(&files)
    };
    for declared in [
        "BagIt-Version : 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "BagIt-Version:  1.0\nTag-File-Character-Encoding: UTF-8\n",
        "BagIt-Version: 1.0 \nTag-File-Character-Encoding: UTF-8\n",
        "BagIt-Version: 1.0\nTag-File-Character-Encoding:UTF-8\n",
        "BagIt-Version: 1.0\nTag-File-Character-Encoding:  UTF-8\n",
        "BagIt-Version: 1.1\nTag-File-Character-Encoding: UTF-8\n",
        "BagIt-Version: 1.0\n",
        "\u{feff}BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\nMore: 1\n",
        "BagIt-Version: 1.0\nTag-File-Character-Encoding: EBCDIC\n",
        "",
    ] {
        assert_eq!(with("bagit.txt", declared).unwrap_err().file, "bagit.txt", "{declared}");
    }
    // Every manifest lists every file.
    let refused = with("manifest-md5.txt", "").unwrap_err();
    assert_eq!(refused.file, "data/a");
    with("manifest-md5.txt", &format!("{MD5} data/a\n")).unwrap();
    assert!(with("manifest-crc32.txt", "").is_err(), "a checksum that we can't make");
    with("bag-info.txt", "Payload-Oxum: 5.1\n").unwrap();
    with("bag-info.txt", "Note: a\n and more\nPayload-Oxum: 5.1\n").unwrap();
    for wrong in [
        "Payload-Oxum: 6.1\n",
        "Payload-Oxum: 5.2\n",
        "Payload-Oxum: x\n",
        "No colon\n",
        "A : b\n",
        "A:b\n",
    ] {
        assert_eq!(with("bag-info.txt", wrong).unwrap_err().file, "bag-info.txt", "{wrong}");
    }
    let refused = with("data/b", "more").unwrap_err();
    assert!(refused.file == "data/b" && matches!(*refused.fault, Fault::Unexpected));
    let refused = with("data/a", "Hello").unwrap_err();
    assert!(refused.file == "data/a" && matches!(*refused.fault, Fault::Damaged));
    // Names with a line's end, and with a percent sign.
    let encoded = format!("{SUM}  data/a\n{SUM}  data/x%0Ay\n{SUM}  data/100%25\n");
    let mut files = good.to_vec();
    files[2].1 = &encoded;
    files.extend([("data/x\ny", "hello"), ("data/100%", "hello")]);
    judge(&files).unwrap();
}

#[test]
fn nothing_outside_of_the_bag_is_named_fetched_or_followed() {
    for path in [
        "../up",
        "data/../../up",
        "/etc/passwd",
        "~/x",
        "~root/x",
        "C:\\x",
        "C:/x",
        "\\\\host\\x",
        "data//a",
        "data/./a",
        "data",
        "bagit.txt",
        "%HOME%/x",
        "data/%0A/../x",
    ] {
        let manifest = format!("{SUM}  data/a\n{SUM}  {path}\n");
        let files =
            [("bagit.txt", DECLARED), ("data/a", "hello"), ("manifest-sha256.txt", &*manifest)];
        let refused = judge(&files).unwrap_err();
        assert!(
            matches!(*refused.fault, Fault::Malformed(_) | Fault::Missing),
            "{path}: {refused}"
        );
    }
    let manifest = format!("{SUM}  data/a\n");
    for fetch in
        ["http://x/ - data/a\n", "http://x/ 5 ../../a\n", "http://x/ - data/b\n", "http://x/\n"]
    {
        let files =
            [("bagit.txt", DECLARED), ("manifest-sha256.txt", &*manifest), ("fetch.txt", fetch)];
        assert!(judge(&files).is_err(), "{fetch}");
    }
    let folder = quick_folder();
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    write("bagit.txt", DECLARED);
    write("manifest-sha256.txt", &manifest);
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("data/a")).unwrap();
    let refused = bagit::check(folder.path(), Watch::none()).unwrap_err();
    assert!(refused.file == "data/a" && matches!(*refused.fault, Fault::Unexpected), "{refused}");
}

#[test]
fn both_bags_of_a_parcel_are_plain_bags_too() {
    let world = World::new();
    let sealed = world.sealed("parcel");
    let bag = bagit::check(&sealed, Watch::none()).unwrap();
    assert_eq!(bag.warnings, Vec::<String>::new());
    let opened = world.path("opened");
    parcel::open(&sealed, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    let inner = bagit::check(&opened.join("inner"), Watch::none()).unwrap();
    assert_eq!(inner.files.len(), 3);
    let part = sealed.join("data/000/part-000001.p7m");
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[700] ^= 1;
    std::fs::write(part, bytes).unwrap();
    let refused = bagit::check(&sealed, Watch::none()).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Damaged), "{refused}");
}
