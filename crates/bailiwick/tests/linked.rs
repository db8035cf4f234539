//! What the program is really linked with. Cargo's tree says what was compiled; only the symbols say what
//! is inside.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeSet;
use std::process::Command;

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_only_cryptography_inside_is_the_fips_module() {
    let text = output("nm", &["--defined-only", env!("CARGO_BIN_EXE_bailiwick")]);
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let some = |prefix: &str| {
        names.iter().copied().filter(|name| name.starts_with(prefix)).collect::<Vec<_>>()
    };
    assert!(names.len() > 10_000, "the symbols were listed");
    assert!(some("aws_lc_fips_").len() > 100, "the FIPS module is linked");

    let outside = some("aws_lc_").into_iter().filter(|name| !name.starts_with("aws_lc_fips_"));
    assert_eq!(
        outside.collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "AWS-LC that is not the FIPS module"
    );
    for prefix in [
        "ring_core_",
        "GFp_",
        "OPENSSL_init_",
        "SSL_CTX_",
        "EVP_DigestInit",
        "mbedtls_",
        "gnutls_",
        "wolfSSL_",
    ] {
        assert_eq!(some(prefix), Vec::<&str>::new(), "symbols that begin with {prefix}");
    }
}

#[test]
fn the_program_needs_only_the_c_library_to_run() {
    let text = output("readelf", &["--dynamic", "--wide", env!("CARGO_BIN_EXE_bailiwick")]);
    let needed = text.lines().filter(|line| line.contains("(NEEDED)"));
    let needed: Vec<&str> = needed.filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    assert!(!needed.is_empty(), "readelf listed nothing:\n{text}");
    let plain =
        ["libc.so", "libm.so", "libgcc_s.so", "ld-linux", "libdl.so", "libpthread.so", "librt.so"];
    for library in needed {
        assert!(
            plain.iter().any(|name| library.starts_with(name)),
            "{library} would have to be installed"
        );
    }
}
