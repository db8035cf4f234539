//! BouncyCastle opens our parts: to a P-384 key, and by RSA-OAEP. What a partner writes who works in Java.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use keys::cert;
use parcel::{Recipient, Seal};

use crate::rsa::rsa_world;
use crate::support::{World, case, files, noise, run};

/// Where Debian puts BouncyCastle 1.72, and a compiler that needs no JDK.
const LIBRARIES: [&str; 3] =
    ["/usr/share/java/bcpkix.jar", "/usr/share/java/bcprov.jar", "/usr/share/java/bcutil.jar"];
const COMPILER: &str = "/usr/share/java/ecj.jar";

/// The program, compiled.
struct Opener {
    java: PathBuf,
    classes: String,
}

impl Opener {
    /// `None` where Java or BouncyCastle are missing, and this is not CI.
    fn new(folder: &Path) -> Option<Self> {
        let what = "the opening of parts by BouncyCastle";
        let java = testkit::need(what, &["java"]).unwrap()?;
        for file in LIBRARIES.into_iter().chain([COMPILER]) {
            testkit::need(what, &[file]).unwrap()?;
        }
        let libraries = LIBRARIES.join(":");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parcel/bouncycastle/Open.java");
        let out = folder.join("classes");
        let compiled = run(Command::new(&java)
            .args(["-cp", COMPILER, "org.eclipse.jdt.internal.compiler.batch.Main", "-8"])
            .args(["-nowarn", "-cp", &libraries, "-d"])
            .arg(&out)
            .arg(source));
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Some(Self { java, classes: format!("{libraries}:{}", out.display()) })
    }

    /// What it writes of these parts.
    fn open(&self, world: &World, whose: &Recipient, parts: &[PathBuf]) -> Output {
        let certificate = world.write_pem("our.pem", &whose.certificate.pem());
        let key = cert::private_key_pem(&whose.key.to_pkcs8().unwrap());
        let key = world.write_pem("our.key", &key);
        let mut open = Command::new(&self.java);
        open.args(["-cp", &self.classes, "Open"]).arg(certificate).arg(key).args(parts);
        run(&mut open)
    }
}

fn parts(parcel: &Path) -> Vec<PathBuf> {
    let data = parcel.join("data");
    files(&data).into_iter().map(|part| data.join(part)).collect()
}

#[test]
fn bouncycastle_opens_parts_for_p384_and_for_rsa() {
    for world in [World::new(), rsa_world()] {
        let Some(opener) = Opener::new(world.folder.path()) else { return };
        let parcel = world.path("parcel");
        let order = Seal { allow_rsa_oaep: true, ..world.order(case(), 4096) };
        parcel::seal(order, &parcel).unwrap();
        let parts = parts(&parcel);
        let opened = opener.open(&world, &world.recipient, &parts);
        let said = String::from_utf8_lossy(&opened.stderr).into_owned();
        assert!(opened.status.success(), "{said}");
        eprintln!("opened by {said}");
        let mut archive = tar::Archive::new(opened.stdout.as_slice());
        let mut films = archive.entries().unwrap().map(Result::unwrap).filter(|entry| {
            entry.path().unwrap().as_os_str() == "inner/data/videos/Door camera (2).mp4"
        });
        let mut film = Vec::new();
        std::io::copy(&mut films.next().unwrap(), &mut film).unwrap();
        assert_eq!(film, noise(30_000, 7));
        // Another's key, and a part that somebody touched: nothing comes out.
        let stranger = opener.open(&world, &world.stranger, &parts);
        assert!(!stranger.status.success() && stranger.stdout.is_empty());
        let mut bytes = std::fs::read(&parts[0]).unwrap();
        bytes[2_000] ^= 1;
        std::fs::write(&parts[0], bytes).unwrap();
        let altered = opener.open(&world, &world.recipient, &parts);
        let said = String::from_utf8_lossy(&altered.stderr).into_owned();
        assert!(!altered.status.success() && altered.stdout.is_empty(), "{said}");
        assert!(said.contains("mac check in GCM failed"), "{said}");
    }
}
