//! The other half of the list: what is wrong with algorithms, references, keys, values and whole documents.

use crate::common::{Layout, attacker, sign_one, signed, signed_by};
use crate::forge::{DTDS, cut, resigned};
use crate::generated::{Case, Cases};

const SHA256_RSA: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// Algorithms that are weak, of another kind of key, or not the ones that SAML prescribes. SignedInfo is
/// signed again by the provider's key each time, so that the algorithm is all that is wrong.
pub(crate) fn algorithms(cases: &mut Cases) {
    let mut case = |what: &str, expect, from: &'static str, to: &str| {
        for layout in [Layout::Assertion, Layout::Response] {
            let to = to.to_owned();
            cases.add(format!("{what}: {to}, {layout:?}"), expect, move |base| {
                resigned(&signed(base, layout), |info| info.replacen(from, &to, 1))
            });
        }
    };
    for method in [
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        "http://www.w3.org/2000/09/xmldsig#dsa-sha1",
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-ripemd160",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
        "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
        "HTTP://WWW.W3.ORG/2001/04/xmldsig-more#rsa-sha256",
        "",
    ] {
        case("signature method", "saml.alg", SHA256_RSA, method);
    }
    for digest in [
        "http://www.w3.org/2000/09/xmldsig#sha1",
        "http://www.w3.org/2001/04/xmldsig-more#md5",
        "http://www.w3.org/2001/04/xmlenc#ripemd160",
        "http://www.w3.org/2001/04/xmlenc#sha512",
    ] {
        case("digest method", "saml.alg", "http://www.w3.org/2001/04/xmlenc#sha256", digest);
    }
    let canonicalisation =
        "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"";
    for other in [
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/2006/12/xml-c14n11",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
    ] {
        let to = canonicalisation.replace(EXCLUSIVE, other);
        case("canonicalisation", "saml.signature.transform", canonicalisation, &to);
    }
    let transform = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"";
    for other in [
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
        "http://www.w3.org/TR/1999/REC-xpath-19991116",
        "http://www.w3.org/2002/06/xmldsig-filter2",
        "http://www.w3.org/2000/09/xmldsig#base64",
    ] {
        let to = transform.replace(EXCLUSIVE, other);
        case("transform", "saml.signature.transform", transform, &to);
    }
}

/// References that lead elsewhere, none, or several.
pub(crate) fn references(cases: &mut Cases) {
    for uri in [
        "",
        "#",
        "#_response",
        "#_nowhere",
        "#xpointer(/)",
        "#xpointer(id('_assertion'))",
        "file:///etc/passwd",
        "http://127.0.0.1/x#_assertion",
        "_assertion",
        " #_assertion",
    ] {
        cases.add(format!("reference to `{uri}`"), "saml.signature.reference", move |base| {
            let to = format!("URI=\"{uri}\"");
            resigned(&signed(base, Layout::Assertion), |info| {
                info.replacen("URI=\"#_assertion\"", &to, 1)
            })
        });
    }
    for (what, expect, times) in
        [("no reference", "saml.shape.signature", 0), ("two references", "saml.shape.signature", 2)]
    {
        cases.add(what, expect, move |base| {
            resigned(&signed(base, Layout::Assertion), |info| {
                let (reference, rest) = {
                    let start = info.find("<ds:Reference ").unwrap();
                    let end = info.find("</ds:Reference>").unwrap() + "</ds:Reference>".len();
                    (info[start..end].to_owned(), [&info[..start], &info[end..]].concat())
                };
                rest.replace(
                    "</ds:SignedInfo>",
                    &format!("{}</ds:SignedInfo>", reference.repeat(times)),
                )
            })
        });
    }
}

/// Keys that nobody pinned, and values that are not there.
pub(crate) fn keys_and_values(cases: &mut Cases) {
    for layout in [Layout::Assertion, Layout::Response, Layout::Both] {
        cases.add(
            format!("signed by the attacker, {layout:?}"),
            "saml.signature.invalid",
            move |base| signed_by(base, layout, attacker()),
        );
        cases.add(
            format!("changed after signing, {layout:?}"),
            "saml.signature.digest",
            move |base| signed(base, layout).replace("det.ruiz", "chief.evil"),
        );
        for (what, value) in
            [("empty", ""), ("of spaces", "  \n"), ("of one byte", "AA=="), ("of nought", "AAAA")]
        {
            let expect = if matches!(what, "empty" | "of spaces") {
                "saml.shape.signature"
            } else {
                "saml.signature.invalid"
            };
            cases.add(format!("signature value {what}, {layout:?}"), expect, move |base| {
                let good = signed(base, layout);
                let (old, _) = cut(&good, "SignatureValue");
                good.replacen(&old, &format!("<ds:SignatureValue>{value}</ds:SignatureValue>"), 1)
            });
        }
    }
    cases.add("unsigned", "saml.signature.missing", str::to_owned);
    cases.add("one signature of two by the attacker", "saml.signature.invalid", |base| {
        sign_one(&signed(base, Layout::Assertion), "_response", attacker())
    });
    cases.add("the inner signature of two by the attacker", "saml.signature.invalid", |base| {
        let inner = signed_by(base, Layout::Assertion, attacker());
        sign_one(&inner, "_response", crate::common::idp_signer())
    });
    for (what, part) in [("SignedInfo", "SignedInfo"), ("SignatureValue", "SignatureValue")] {
        cases.add(format!("two of {what}"), "saml.shape.signature", move |base| {
            let good = signed(base, Layout::Response);
            let (found, _) = cut(&good, part);
            good.replacen(&found, &found.repeat(2), 1)
        });
    }
    cases.add("two signatures", "saml.shape.child", |base| {
        let good = signed(base, Layout::Response);
        let (found, _) = cut(&good, "Signature");
        good.replacen(&found, &found.repeat(2), 1)
    });
    cases.add("a manifest in an Object", "saml.shape.signature", |base| {
        let object = "<ds:Object><ds:Manifest></ds:Manifest></ds:Object></ds:Signature>";
        signed(base, Layout::Response).replacen("</ds:Signature>", object, 1)
    });
}

/// Documents that no honest provider sends.
pub(crate) fn documents(cases: &mut Cases) {
    for dtd in DTDS {
        cases.add(format!("DTD {dtd}"), "saml.shape.markup", move |base| {
            format!("{dtd}{}", signed(base, Layout::Both))
        });
    }
    cases.add("an entity nobody declared", "saml.shape.xml", |base| {
        signed(base, Layout::Both).replace("det.ruiz", "&evil;")
    });
    cases.add("a byte order mark", "saml.shape.encoding", |base| {
        format!("\u{feff}{}", signed(base, Layout::Both))
    });
    cases.add("another encoding declared", "saml.shape.encoding", |base| {
        format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{}", signed(base, Layout::Both))
    });
    cases.add("a line break in an attribute", "saml.shape.attribute", |base| {
        signed(base, Layout::Both).replacen("Version=\"2.0\"", "Version=\"2.0\n\"", 1)
    });
    cases.add("20,000 attributes", "saml.shape.limit", |base| {
        let many: String = (0..20_000).map(|n| format!("a{n}='' ")).collect();
        signed(base, Layout::Both).replacen("<saml:Subject>", &format!("<saml:Subject {many}>"), 1)
    });
    cases.add("nested a hundred deep", "saml.shape.limit", |base| {
        let deep = format!("{}{}", "<saml:x>".repeat(100), "</saml:x>".repeat(100));
        signed(base, Layout::Both).replace("det.ruiz", &deep)
    });
    cases.add("300 KB", "saml.malformed", |base| {
        signed(base, Layout::Both).replace("det.ruiz", &"x".repeat(300_000))
    });
    cases.add("nothing", "saml.shape.xml", |_| String::new());
    cases.add("a request", "saml.shape.root", |base| {
        base.replace("samlp:Response", "samlp:AuthnRequest")
    });
    cases.add("a bare assertion", "saml.shape.root", |base| {
        let good = signed(base, Layout::Assertion);
        let (assertion, _) = cut(&good, "Assertion");
        let spaces = "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ";
        assertion.replacen("<saml:Assertion ", spaces, 1)
    });
    let utf16 = |base: &str| -> Vec<u8> {
        signed(base, Layout::Both).encode_utf16().flat_map(u16::to_be_bytes).collect()
    };
    cases.0.push(Case {
        name: "UTF-16".into(),
        expect: "saml.shape.encoding",
        intact: None,
        make: Box::new(utf16),
    });
    let overlong = |base: &str| -> Vec<u8> {
        let mut bytes = signed(base, Layout::Both).into_bytes();
        bytes.splice(10..10, [0xc0, 0xaf]);
        bytes
    };
    cases.0.push(Case {
        name: "an overlong byte sequence".into(),
        expect: "saml.shape.encoding",
        intact: None,
        make: Box::new(overlong),
    });
}
