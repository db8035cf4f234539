//! What is run: ours, and what else people would use. Each step is a line for `sh`, run in the folder of the workload.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Workload;

/// The name of our side.
pub(super) const OURS: &str = "bailiwick parcel";
pub(super) const AGE: &str = "tar | age";
pub(super) const SUMS_AGE: &str = "sha256sum, then tar | age";
pub(super) const DGST_AGE: &str = "openssl dgst, then tar | age";
pub(super) const ZIP: &str = "7z zip, AES-256";
pub(super) const BAGIT: &str = "bagit.py";
pub(super) const DISK: &str = "dd, brought to disk";

const GPG: &str = "gpg --homedir gpg --batch --quiet --pinentry-mode loopback --passphrase bench --compress-algo none";
const FILM_AND_TREE: &[Workload] = &[Workload::Film, Workload::Tree];

pub(super) struct Side {
    pub(super) name: &'static str,
    needs: &'static str,
    pub(super) steps: Vec<(&'static str, String)>,
    /// Removed before and after each round.
    pub(super) leaves: &'static str,
    on: &'static [Workload],
}

/// The sides of a workload whose programs are here.
pub(super) fn sides(program: &Path, workload: Workload) -> Vec<Side> {
    let mut sides = vec![ours(program)];
    sides.extend(with_age());
    sides.extend(encrypting());
    sides.extend(hashing());
    sides.retain(|side| side.on.contains(&workload) && is_there(side.needs));
    sides
}

pub(super) fn is_there(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|found| found.status.success())
}

fn step(name: &'static str, line: impl Into<String>) -> (&'static str, String) {
    (name, line.into())
}

fn ours(program: &Path) -> Side {
    let own = program.display();
    let whom = "--recipient us.pem --signer signer.pem --key signer.key --out p";
    let who = "--recipient us.pem --key us.key --sender signer.pem --out o";
    Side {
        name: OURS,
        needs: "sh",
        steps: vec![
            step("seal", format!("{own} parcel seal in {whom}")),
            step("verify", format!("{own} parcel verify p --sender signer.pem")),
            step("open", format!("{own} parcel open p {who}")),
        ],
        leaves: "p o",
        on: &[Workload::Film, Workload::Tree, Workload::Note],
    }
}

/// age alone, and after a list of digests was made.
fn with_age() -> [Side; 4] {
    let after = |name, list: &str| Side {
        name,
        needs: "age",
        steps: vec![step(
            "seal",
            format!(
                "find in -type f -exec {list} {{}} + >sums && tar -cf - in | age -R age.pub -o a"
            ),
        )],
        leaves: "a sums",
        on: FILM_AND_TREE,
    };
    [
        Side {
            name: AGE,
            needs: "age",
            steps: vec![
                step("seal", "tar -cf - in | age -R age.pub -o a"),
                step("open", "mkdir o && age -d -i age.key a | tar -xf - -C o"),
            ],
            leaves: "a o",
            on: FILM_AND_TREE,
        },
        after(SUMS_AGE, "sha256sum"),
        after(DGST_AGE, "openssl dgst -sha256 -r"),
        Side {
            name: "age",
            needs: "age",
            steps: vec![
                step("seal", "age -R age.pub -o a in/note.txt"),
                step("open", "age -d -i age.key -o o a"),
            ],
            leaves: "a o",
            on: &[Workload::Note],
        },
    ]
}

/// What others encrypt with. `openssl cms -decrypt` takes no message of more than 2 GiB, so it opens nothing here.
fn encrypting() -> [Side; 4] {
    [
        Side {
            name: "tar | openssl cms",
            needs: "openssl",
            steps: vec![step(
                "seal",
                "tar -cf - in | openssl cms -encrypt -stream -binary -aes-256-gcm -outform DER -out c us.pem",
            )],
            leaves: "c",
            on: FILM_AND_TREE,
        },
        Side {
            name: "tar | gpg -c",
            needs: "gpg",
            steps: vec![
                step("seal", format!("tar -cf - in | {GPG} -c --cipher-algo AES256 -o g")),
                step("open", format!("mkdir o && {GPG} -d g | tar -xf - -C o")),
            ],
            leaves: "g o",
            on: FILM_AND_TREE,
        },
        Side {
            name: "7z -mx0 -p",
            needs: "7z",
            steps: vec![
                step("seal", "7z a -bd -bso0 -mx0 -mhe=on -pbench z.7z in"),
                step("open", "7z x -bd -bso0 -pbench -oo z.7z"),
            ],
            leaves: "z.7z o",
            on: FILM_AND_TREE,
        },
        Side {
            name: ZIP,
            needs: "7z",
            steps: vec![
                step("seal", "7z a -tzip -bd -bso0 -mx0 -mem=AES256 -pbench z.zip in"),
                step("open", "7z x -bd -bso0 -pbench -oo z.zip"),
            ],
            leaves: "z.zip o",
            on: FILM_AND_TREE,
        },
    ]
}

/// What others only hash with, and the disk alone.
fn hashing() -> [Side; 3] {
    let bagit = format!("{} -m bagit", python().display());
    [
        Side {
            name: "tar + sha256sum",
            needs: "sha256sum",
            steps: vec![
                step("seal", "find in -type f -exec sha256sum {} + >sums && tar -cf t in"),
                step("verify", "sha256sum --check --quiet sums"),
                step("open", "mkdir o && tar -xf t -C o"),
            ],
            leaves: "t o sums",
            on: FILM_AND_TREE,
        },
        Side {
            name: BAGIT,
            needs: "python3",
            steps: vec![
                step("seal", format!("cp -r in b && {bagit} --quiet --sha256 --processes 2 b")),
                step("verify", format!("{bagit} --quiet --validate --processes 2 b")),
            ],
            leaves: "b",
            on: FILM_AND_TREE,
        },
        Side {
            name: DISK,
            needs: "dd",
            steps: vec![step("seal", "dd if=in/video.mp4 of=w bs=1M conv=fsync status=none")],
            leaves: "w",
            on: &[Workload::Film],
        },
    ]
}

/// The Python that `make setup` put beside this program: target/<profile>/bench.
fn python() -> PathBuf {
    let own = std::env::current_exe().ok();
    let target = own.and_then(|own| own.ancestors().nth(2).map(Path::to_owned));
    let python = target.map(|target| target.join("python/bin/python"));
    python.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("python3"))
}
