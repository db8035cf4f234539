//! A joint audit at the command line.

use std::path::Path;

use crate::stage::Demo;

/// What the page does, from the two files and what each agency knows of the other.
pub(crate) fn without_a_server(demo: &Demo, ours: &Path, theirs: &Path) {
    let known = |of: &str, by: &str| {
        let folder = format!("{by}/sharing/partners");
        let text = std::fs::read_to_string(demo.file(&format!("{folder}/{of}.toml"))).unwrap();
        let line = text.lines().find(|line| line.starts_with("ledger_key")).unwrap();
        let key = demo.file(&format!("{of}.vkey"));
        std::fs::write(&key, line.split('"').nth(1).unwrap()).unwrap();
        (demo.file(&format!("{folder}/{of}-signing.pem")), key)
    };
    let (riverton, lakeside) = (known("riverton", "lakeside"), known("lakeside", "riverton"));
    let report = demo.file("joint-audit.html");
    let (paper, json) = (demo.file("joint-audit.pdf"), demo.file("joint-audit.json"));
    let reconcile = |our_key: &Path| {
        let mut command = std::process::Command::new(testkit::bailiwick().unwrap());
        command.args(["audit", "reconcile"]).args([ours, theirs]);
        command.arg("--our-signer").arg(&riverton.0).arg("--our-key").arg(our_key);
        command.arg("--their-signer").arg(&lakeside.0).arg("--their-key").arg(&lakeside.1);
        command.arg("--pdf").arg(&paper).arg("--json").arg(&json);
        command.arg("--html").arg(&report).output().unwrap()
    };
    let done = reconcile(&riverton.1);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("0 only ours, 0 only theirs"), "{said}");
    assert!(std::fs::read_to_string(&report).unwrap().contains("The two ledgers agree"));
    // Another tool finds the document sound, and the JSON in it.
    let mut qpdf = std::process::Command::new("qpdf");
    let taken = qpdf.arg("--show-attachment=joint-audit.json").arg(&paper).output().unwrap();
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert!(taken.stdout == std::fs::read(&json).unwrap());
    let wrong = reconcile(&lakeside.1);
    assert_eq!(wrong.status.code(), Some(1), "another ledger's key");
}
