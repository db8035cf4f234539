//! Encrypted assertions: what is opened, and every way in which one is refused.

use base64::Engine;
use identity::saml::encryption::encrypt;
use keys::SystemRandom;
use keys::transport::Oaep;

use crate::common::{Layout, attacker, idp_signer, sign_one, signed, signed_by, transport_key};
use crate::forge::cut;
use crate::generated::Cases;

/// The assertion of a response as a document of its own.
fn alone(xml: &str) -> String {
    let (assertion, _) = cut(xml, "Assertion");
    let spaces = "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ";
    assertion.replacen("<saml:Assertion ", spaces, 1)
}

/// The response around something else in place of its assertion, signed by the provider.
fn around(base: &str, inside: &str) -> String {
    let (_, rest) = cut(base, "Assertion");
    let whole = rest.replace("</samlp:Response>", &format!("{inside}</samlp:Response>"));
    sign_one(&whole, "_response", idp_signer())
}

pub(crate) fn sealed(plain: &str, oaep: Oaep) -> String {
    encrypt(plain, transport_key().public_spki(), oaep, &SystemRandom).unwrap()
}

/// A right response whose assertion is encrypted.
pub(crate) fn honest(base: &str) -> String {
    around(base, &sealed(&alone(&signed(base, Layout::Assertion)), Oaep::Sha256))
}

/// A response that the provider signed after `change` was made to what is encrypted.
fn bent(base: &str, change: impl Fn(&str) -> String) -> String {
    around(base, &change(&sealed(&alone(base), Oaep::Sha256)))
}

/// The bytes of a cipher value, changed: the first is that of the key, the second that of the content.
fn value(sealed: &str, which: usize, change: impl Fn(&mut Vec<u8>)) -> String {
    let engine = base64::engine::general_purpose::STANDARD;
    let mut parts: Vec<String> = sealed.split("<xenc:CipherValue>").map(str::to_owned).collect();
    let (text, rest) = parts[which].split_once('<').unwrap();
    let mut bytes = engine.decode(text).unwrap();
    change(&mut bytes);
    parts[which] = format!("{}<{rest}", engine.encode(bytes));
    parts.join("<xenc:CipherValue>")
}

pub(crate) fn cases(cases: &mut Cases) {
    for oaep in [Oaep::Sha256, Oaep::Sha1] {
        cases.add(format!("encrypted, {oaep:?}"), "accepted", move |base| {
            around(base, &sealed(&alone(base), oaep))
        });
    }
    cases.add("encrypted, and signed inside", "accepted", honest);
    contents(cases);
    algorithms(cases);
    keys_and_values(cases);
}

/// What is encrypted is held to the same shape as what is not.
fn contents(cases: &mut Cases) {
    cases.add("encrypted by anybody, unsigned around", "saml.signature.missing", |base| {
        let (_, rest) = cut(base, "Assertion");
        let sealed = sealed(&alone(&signed(base, Layout::Assertion)), Oaep::Sha256);
        rest.replace("</samlp:Response>", &format!("{sealed}</samlp:Response>"))
    });
    cases.add("encrypted, signed around by the attacker", "saml.signature.invalid", |base| {
        let (_, rest) = cut(base, "Assertion");
        let sealed = sealed(&alone(&signed(base, Layout::Assertion)), Oaep::Sha256);
        let whole = rest.replace("</samlp:Response>", &format!("{sealed}</samlp:Response>"));
        sign_one(&whole, "_response", attacker())
    });
    cases.add("encrypted, swapped after signing", "saml.signature.digest", |base| {
        let evil = sealed(&alone(base).replace("det.ruiz", "chief.evil"), Oaep::Sha256);
        let good = honest(base);
        let start = good.find("<saml:EncryptedAssertion>").unwrap();
        let end = good.find("</samlp:Response>").unwrap();
        [&good[..start], &evil, &good[end..]].concat()
    });
    cases.add("encrypted, signed inside by the attacker", "saml.signature.invalid", |base| {
        around(base, &sealed(&alone(&signed_by(base, Layout::Assertion, attacker())), Oaep::Sha256))
    });
    cases.add("encrypted, changed inside its signature", "saml.signature.digest", |base| {
        let inner = signed(base, Layout::Assertion).replace("det.ruiz", "chief.evil");
        around(base, &sealed(&alone(&inner), Oaep::Sha256))
    });
    let inside: [(&str, &str, fn(&str) -> String); 9] = [
        ("a comment", "saml.shape.markup", |plain| plain.replace("det.ruiz", "det<!-- -->.ruiz")),
        ("a DTD", "saml.shape.markup", |plain| format!("<!DOCTYPE a>{plain}")),
        ("two assertions", "saml.shape.xml", |plain| plain.repeat(2)),
        ("text", "saml.shape.xml", |_| "det.ruiz".into()),
        ("a response", "saml.shape.assertion", |_| {
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"/>".into()
        }),
        ("the response's ID", "saml.shape.id", |plain| {
            plain.replace("\"_assertion\"", "\"_response\"")
        }),
        ("an assertion in a value", "saml.shape.placement", |plain| {
            plain.replacen(">detective", "><saml:Assertion/>detective", 1)
        }),
        ("a foreign child", "saml.shape.child", |plain| {
            plain.replacen("<saml:Subject>", "<x:y xmlns:x=\"urn:x\"/><saml:Subject>", 1)
        }),
        ("nesting", "saml.shape.limit", |plain| {
            let deep = format!("{}{}", "<saml:x>".repeat(100), "</saml:x>".repeat(100));
            plain.replace("det.ruiz", &deep)
        }),
    ];
    for (what, expect, change) in inside {
        cases.add(format!("{what} in what is encrypted"), expect, move |base| {
            around(base, &sealed(&change(&alone(base)), Oaep::Sha256))
        });
    }
    cases.add("encrypted and in clear", "saml.shape.assertion", |base| {
        let both = format!(
            "{}{}",
            sealed(&alone(base), Oaep::Sha256),
            cut(base, "Assertion").0.replace("_assertion", "_other")
        );
        around(base, &both)
    });
    cases.add("two encrypted", "saml.shape.assertion", |base| {
        around(base, &sealed(&alone(base), Oaep::Sha256).repeat(2))
    });
    cases.add("encrypted once more", "saml.shape.assertion", |base| {
        let spaces =
            "<saml:EncryptedAssertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">";
        let inner = sealed(&alone(base), Oaep::Sha256).replace("<saml:EncryptedAssertion>", spaces);
        around(base, &sealed(&inner, Oaep::Sha256))
    });
}

fn algorithms(cases: &mut Cases) {
    let content = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
    for other in [
        "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
        "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
        "http://www.w3.org/2001/04/xmlenc#tripledes-cbc",
        "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    ] {
        cases.add(format!("content by {other}"), "saml.alg", move |base| {
            bent(base, |sealed| sealed.replace(content, other))
        });
    }
    let transport = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
    for other in [
        "http://www.w3.org/2001/04/xmlenc#rsa-1_5",
        "http://www.w3.org/2001/04/xmlenc#kw-aes256",
        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
    ] {
        cases.add(format!("key by {other}"), "saml.alg", move |base| {
            bent(base, |sealed| sealed.replace(transport, other))
        });
    }
    cases.add("key by OAEP with two hashes", "saml.alg", |base| {
        bent(base, |sealed| sealed.replace("xmlenc11#mgf1sha256", "xmlenc11#mgf1sha1"))
    });
    cases.add("key by OAEP with a label", "saml.alg", |base| {
        bent(base, |sealed| {
            sealed.replace("<xenc11:MGF ", "<xenc:OAEPparams>AA==</xenc:OAEPparams><xenc11:MGF ")
        })
    });
}

fn keys_and_values(cases: &mut Cases) {
    cases.add("encrypted to another key", "saml.decrypt", |base| {
        let other = attacker().certificate.spki_der().unwrap();
        around(base, &encrypt(&alone(base), &other, Oaep::Sha256, &SystemRandom).unwrap())
    });
    let changes: [(&str, usize, fn(&mut Vec<u8>)); 6] = [
        ("key bent", 1, |bytes| bytes[9] ^= 1),
        ("key cut", 1, |bytes| bytes.truncate(12)),
        ("content bent", 2, |bytes| bytes[40] ^= 1),
        ("tag bent", 2, |bytes| *bytes.last_mut().unwrap() ^= 1),
        ("content of a nonce", 2, |bytes| bytes.truncate(12)),
        ("content of three bytes", 2, |bytes| bytes.truncate(3)),
    ];
    for (what, which, change) in changes {
        cases.add(format!("encrypted: {what}"), "saml.decrypt", move |base| {
            bent(base, |sealed| value(sealed, which, change))
        });
    }
    cases.add("encrypted for another recipient", "saml.shape.encrypted", |base| {
        bent(base, |sealed| {
            sealed.replace(
                "<xenc:EncryptedKey>",
                "<xenc:EncryptedKey Recipient=\"https://other.example\">",
            )
        })
    });
    cases.add("encrypted for us by name", "accepted", |base| {
        let named = format!("<xenc:EncryptedKey Recipient=\"{}\">", crate::common::SP);
        bent(base, |sealed| sealed.replace("<xenc:EncryptedKey>", &named))
    });
    cases.add("encrypted, the key beside the data", "accepted", |base| {
        bent(base, |sealed| {
            let start = sealed.find("<xenc:EncryptedKey>").unwrap();
            let end = sealed.find("</xenc:EncryptedKey>").unwrap() + "</xenc:EncryptedKey>".len();
            let key = sealed[start..end].replacen(
                "<xenc:EncryptedKey>",
                "<xenc:EncryptedKey xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" \
                 xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">",
                1,
            );
            let without = [&sealed[..start], &sealed[end..]].concat();
            without
                .replace("</saml:EncryptedAssertion>", &format!("{key}</saml:EncryptedAssertion>"))
        })
    });
    cases.add("five wrapped keys", "saml.shape.encrypted", |base| {
        bent(base, |sealed| {
            let start = sealed.find("<xenc:EncryptedKey>").unwrap();
            let end = sealed.find("</xenc:EncryptedKey>").unwrap() + "</xenc:EncryptedKey>".len();
            let key = &sealed[start..end];
            sealed.replacen(key, &key.repeat(5), 1)
        })
    });
    cases.add("encrypted, no key", "saml.shape.encrypted", |base| {
        bent(base, |sealed| {
            let start = sealed.find("<xenc:EncryptedKey>").unwrap();
            let end = sealed.find("</xenc:EncryptedKey>").unwrap() + "</xenc:EncryptedKey>".len();
            [&sealed[..start], &sealed[end..]].concat()
        })
    });
    cases.add("encrypted, nothing in it", "saml.shape.encrypted", |base| {
        around(base, "<saml:EncryptedAssertion></saml:EncryptedAssertion>")
    });
    cases.add("encrypted content and not an element", "saml.shape.encrypted", |base| {
        bent(base, |sealed| sealed.replace("xmlenc#Element", "xmlenc#Content"))
    });
}
