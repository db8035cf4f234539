//! Attacks on signed responses: each is refused for its own reason, and the response that it was made
//! from is accepted.

use crate::common::{
    LAYOUTS, Layout, attacker, response, sign_one, signed, signed_by, verdict, verify,
};
use crate::forge::{DTDS, cut, evil, resigned, wrapped};

#[track_caller]
fn check(attack: &str, xml: &str, code: &str) {
    assert_eq!(verdict(xml), code, "{attack}: {xml}");
}

#[test]
fn the_control_is_accepted_in_all_three_layouts() {
    for layout in LAYOUTS {
        let assertion = verify(&signed(&response(), layout)).unwrap();
        assert_eq!(assertion.name_id, "det.ruiz");
        assert_eq!(assertion.values("functions"), ["detective"]);
        assert_eq!(assertion.values("displayName"), ["Ruiz, Ana"]);
        assert!(assertion.mfa);
        assert_eq!(assertion.notes, Vec::<&str>::new());
    }
}

#[test]
fn unsigned_and_foreign_signatures_are_refused() {
    check("unsigned", &response(), "saml.signature.missing");
    for layout in LAYOUTS {
        let xml = signed_by(&response(), layout, attacker());
        check("attacker's key, certificate in KeyInfo", &xml, "saml.signature.invalid");
        let xml = signed(&response(), layout).replace("det.ruiz", "chief.evil");
        check("changed after signing", &xml, "saml.signature.digest");
    }
    // One good and one foreign signature.
    let xml = sign_one(&signed(&response(), Layout::Assertion), "_response", attacker());
    check("response signed by another", &xml, "saml.signature.invalid");
    let xml = sign_one(
        &signed_by(&response(), Layout::Assertion, attacker()),
        "_response",
        crate::common::idp_signer(),
    );
    check("assertion signed by another", &xml, "saml.signature.invalid");
}

/// XSW1 and XSW2 wrap the signed response, XSW3 to XSW8 the signed assertion.
#[test]
fn signature_wrapping_is_refused_in_all_eight_shapes() {
    let good = signed(&response(), Layout::Response);
    let (signature, bare) = cut(&good, "Signature");
    let evil_response = bare.replace("_response", "_evil").replace("det.ruiz", "chief.evil");
    let behind =
        |xml: &str, what: &str| xml.replacen("</saml:Issuer>", &format!("</saml:Issuer>{what}"), 1);
    // 1: the original inside an Object of the evil response's signature; 2: beside the signature.
    let inside = signature
        .replace("</ds:Signature>", &format!("<ds:Object>{bare}</ds:Object></ds:Signature>"));
    check("XSW1", &behind(&evil_response, &inside), "saml.shape.placement");
    check("XSW2", &behind(&evil_response, &format!("{bare}{signature}")), "saml.shape.placement");

    let good = signed(&response(), Layout::Assertion);
    let (assertion, without) = cut(&good, "Assertion");
    let evil = evil(&assertion);
    let (signature, bare) = cut(&wrapped(&assertion), "Signature");
    let bare = bare[bare.find("<saml:Assertion").unwrap()..].replace("</w>", "");
    let with =
        |inner: &str| without.replace("</samlp:Response>", &format!("{inner}</samlp:Response>"));
    // 3: evil before the signed one; 4: the signed one inside the evil one.
    check("XSW3", &with(&format!("{evil}{assertion}")), "saml.shape.assertion");
    check("XSW3 after", &with(&format!("{assertion}{evil}")), "saml.shape.assertion");
    let nested = evil.replace("</saml:Assertion>", &format!("{assertion}</saml:Assertion>"));
    check("XSW4", &with(&nested), "saml.shape.placement");
    // 5: the evil one has the signature, the original stands beside; 6: inside the signature.
    let signed_evil = behind(&evil, &signature);
    check("XSW5", &with(&format!("{signed_evil}{bare}")), "saml.shape.assertion");
    let inside = signature
        .replace("</ds:Signature>", &format!("<ds:Object>{bare}</ds:Object></ds:Signature>"));
    check("XSW6", &with(&behind(&evil, &inside)), "saml.shape.placement");
    // 7: the evil one in Extensions; 8: the original in an Object of the evil one's signature.
    let extensions = format!("<samlp:Extensions>{evil}</samlp:Extensions>{assertion}");
    check("XSW7", &with(&extensions), "saml.shape.placement");
    let object = format!(
        "<ds:Object xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{assertion}</ds:Object>"
    );
    let inside = signature.replace("</ds:Signature>", &format!("{object}</ds:Signature>"));
    check("XSW8", &with(&behind(&evil, &inside)), "saml.shape.placement");
    // And the plain one: the signature is moved to the evil assertion.
    check("moved", &with(&behind(&evil, &signature)), "saml.signature.reference");
    let same_id = evil.replace("_evil", "_assertion");
    check("moved, same ID", &with(&behind(&same_id, &signature)), "saml.signature.digest");
    let advice = format!("<saml:Advice>{assertion}</saml:Advice></saml:Assertion>");
    let advised = evil.replace("</saml:Assertion>", &advice);
    check("original in the advice", &with(&advised), "saml.signature.missing");
    // Control: cutting and putting back changes nothing.
    check("control", &with(&assertion), "accepted");
}

#[test]
fn duplicated_and_disguised_ids_are_refused() {
    let good = signed(&response(), Layout::Assertion);
    let id = |from: &str, to: &str| good.replacen(from, to, 1);
    check("same ID twice", &id("ID=\"_response\"", "ID=\"_assertion\""), "saml.shape.id");
    check(
        "two IDs",
        &id("ID=\"_assertion\"", "ID=\"_assertion\" Id=\"_x\""),
        "saml.shape.attribute",
    );
    let foreign = "xmlns:x=\"urn:x\" x:ID=\"_y\" ID=\"_assertion\"";
    check("foreign ID", &id("ID=\"_assertion\"", foreign), "saml.shape.attribute");
    let xml_id = "xml:id=\"_y\" ID=\"_assertion\"";
    check("xml:id", &id("ID=\"_assertion\"", xml_id), "saml.shape.attribute");
    check("empty ID", &id("ID=\"_response\"", "ID=\"\""), "saml.shape.id");
    check("lower case", &id("ID=\"_response\"", "id=\"_response\""), "saml.shape.attribute");
    let value = "<saml:AttributeValue>detective";
    let smuggled = "<saml:AttributeValue><x ID=\"_assertion\"/>detective";
    check("in a value", &id(value, smuggled), "saml.shape.id");
}

#[test]
fn comments_instructions_and_cdata_are_refused_wherever_they_stand() {
    for layout in LAYOUTS {
        let good = signed(&response(), layout);
        for (what, odd) in [
            ("comment", "det<!-- -->.ruiz"),
            ("instruction", "det<?x?>.ruiz"),
            ("CDATA", "det<![CDATA[.ruiz]]>"),
        ] {
            check(what, &good.replace("det.ruiz", odd), "saml.shape.markup");
        }
        let digest = "<ds:DigestValue><!--x-->";
        check("DigestValue", &good.replace("<ds:DigestValue>", digest), "saml.shape.markup");
        check("before", &format!("<!-- x -->{good}"), "saml.shape.markup");
        check("after", &format!("{good}<?x?>"), "saml.shape.markup");
    }
}

#[test]
fn dtds_and_entities_are_refused() {
    let good = signed(&response(), Layout::Both);
    for dtd in DTDS {
        check(dtd, &format!("{dtd}{good}"), "saml.shape.markup");
    }
    check("undeclared", &good.replace("det.ruiz", "&a;"), "saml.shape.xml");
    check(
        "encoding",
        &format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{good}"),
        "saml.shape.encoding",
    );
    check("declaration", &format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{good}"), "accepted");
}

#[test]
fn weak_and_mismatched_algorithms_are_refused() {
    let good = signed(&response(), Layout::Assertion);
    let method = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    for odd in [
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "none",
        "",
    ] {
        check(odd, &good.replace(method, odd), "saml.alg");
    }
    // The value no longer fits SignedInfo before the digest's algorithm is looked at.
    let digest = "http://www.w3.org/2001/04/xmlenc#sha256";
    let sha1 = good.replace(digest, "http://www.w3.org/2000/09/xmldsig#sha1");
    check("digest changed", &sha1, "saml.signature.invalid");
    let sha512 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512";
    check("other hash", &good.replace(method, sha512), "saml.signature.invalid");
}

#[test]
fn odd_signed_infos_are_refused_though_the_provider_signed_them() {
    let good = signed(&response(), Layout::Assertion);
    let case = |what: &str, code: &str, change: &dyn Fn(&str) -> String| {
        check(what, &resigned(&good, change), code);
    };
    let enveloped = "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform>";
    let exclusive =
        "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:Transform>";
    let xslt =
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"></ds:Transform>";
    let transform = "saml.signature.transform";
    case("control", "accepted", &str::to_owned);
    case("no transforms", transform, &|s| s.replace(enveloped, "").replace(exclusive, ""));
    case("enveloped only", transform, &|s| s.replace(exclusive, ""));
    case("exclusive only", transform, &|s| s.replace(enveloped, ""));
    case("XSLT", transform, &|s| s.replace(exclusive, &format!("{xslt}{exclusive}")));
    case("XSLT instead", transform, &|s| s.replace(exclusive, xslt));
    case("other order", transform, &|s| {
        s.replace(&format!("{enveloped}{exclusive}"), &format!("{exclusive}{enveloped}"))
    });
    let inclusive = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
    let method =
        "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">";
    case("inclusive", transform, &|s| {
        s.replace(method, &method.replace("http://www.w3.org/2001/10/xml-exc-c14n#", inclusive))
    });
    let reference = "saml.signature.reference";
    for uri in [
        "",
        "#_response",
        "#xpointer(/)",
        "#xpointer(id('_assertion'))",
        "file:///etc/passwd",
        "https://evil.example/a#_assertion",
        "_assertion",
    ] {
        case(uri, reference, &|s| s.replace("URI=\"#_assertion\"", &format!("URI=\"{uri}\"")));
    }
    case("no URI", reference, &|s| s.replace(" URI=\"#_assertion\"", ""));
    let start = good.find("<ds:Reference ").unwrap();
    let end = good.find("</ds:Reference>").unwrap() + "</ds:Reference>".len();
    let one = &good[start..end];
    let shape = "saml.shape.signature";
    case("two references", shape, &|s| s.replace(one, &format!("{one}{one}")));
    case("no reference", shape, &|s| s.replace(one, ""));
    let sha1 = "http://www.w3.org/2000/09/xmldsig#sha1";
    case("SHA-1 digest", "saml.alg", &|s| {
        s.replace("http://www.w3.org/2001/04/xmlenc#sha256", sha1)
    });
    case("digest of nothing", "saml.signature.digest", &|s| {
        let from = s.find("<ds:DigestValue>").unwrap();
        let to = s.find("</ds:DigestValue>").unwrap();
        let empty = "<ds:DigestValue>47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        [&s[..from], empty, &s[to..]].concat()
    });
    case("text in SignedInfo", shape, &|s| s.replace("<ds:Reference ", "x<ds:Reference "));
    case("HMAC length", shape, &|s| {
        let method =
            "<ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\">";
        s.replace(method, &format!("{method}<ds:HMACOutputLength>8</ds:HMACOutputLength>"))
    });
}

#[test]
fn broken_signature_elements_are_refused() {
    let good = signed(&response(), Layout::Assertion);
    let (info, _) = cut(&good, "SignedInfo");
    let (value, without_value) = cut(&good, "SignatureValue");
    let shape = "saml.shape.signature";
    check("no value", &without_value, shape);
    check("empty value", &good.replace(&value, "<ds:SignatureValue></ds:SignatureValue>"), shape);
    check("two SignedInfo", &good.replace(&info, &format!("{info}{info}")), shape);
    check(
        "value first",
        &good.replace(&info, "").replace(&value, &format!("{value}{info}")),
        shape,
    );
    let (signature, _) = cut(&good, "Signature");
    check(
        "two signatures",
        &good.replace(&signature, &format!("{signature}{signature}")),
        "saml.shape.child",
    );
    let fake =
        good.replace("xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"", "xmlns:ds=\"urn:fake\"");
    check("another namespace", &fake, "saml.shape.placement");
    let object = "<ds:Object></ds:Object></ds:Signature>";
    check("object", &good.replace("</ds:Signature>", object), shape);
    let relative = good.replacen("<saml:Assertion ", "<saml:Assertion xmlns:v=\"1\" ", 1);
    check("relative namespace", &relative, "saml.shape.namespace");
    let line_breaks = good.replace("<ds:SignatureValue>", "<ds:SignatureValue>\n&#13; ");
    check("white space in the value", &line_breaks, "accepted");
}

#[test]
fn another_certificate_in_key_info_changes_nothing_and_is_noted() {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let good = signed(&response(), Layout::Assertion);
    let ours = engine.encode(crate::common::idp_signer().certificate.der());
    let theirs = engine.encode(attacker().certificate.der());
    let assertion = verify(&good.replace(&ours, &theirs)).unwrap();
    assert_eq!(assertion.notes.len(), 1);
    let (_, without) = cut(&good, "KeyInfo");
    assert!(verify(&without).unwrap().notes.is_empty());
}

#[test]
fn hostile_sizes_are_refused_before_they_cost_anything() {
    let good = signed(&response(), Layout::Assertion);
    let many: String = (0..20_000).map(|n| format!("a{n}='x' ")).collect();
    let wide = good.replacen("<saml:Subject>", &format!("<saml:Subject {many}>"), 1);
    check("20,000 attributes", &wide, "saml.shape.limit");
    let deep = format!("{}{}", "<saml:x>".repeat(100), "</saml:x>".repeat(100));
    check("deep", &good.replace("det.ruiz", &deep), "saml.shape.limit");
    check("long", &good.replace("det.ruiz", &"x".repeat(300_000)), "saml.malformed");
    let inherited = |outer: usize, inner: usize| {
        let declared: String = (0..20).map(|n| format!("xmlns:n{n}='urn:{n}' ")).collect();
        let open: String = (0..outer).map(|_| format!("<saml:x {declared}>")).collect();
        let leaves = "<saml:y xmlns:z='urn:z'/>".repeat(inner);
        format!("{open}{leaves}{}", "</saml:x>".repeat(outer))
    };
    let many = good.replace("det.ruiz", &inherited(50, 3000));
    check("namespaces inherited by thousands", &many, "saml.shape.limit");
    let started = std::time::Instant::now();
    // The most that passes the scan, and is refused by what looks at it next.
    check("most", &good.replace("det.ruiz", &inherited(25, 500)), "saml.signature.digest");
    for _ in 0..20 {
        assert_eq!(verdict(&wide), "saml.shape.limit");
    }
    assert!(started.elapsed().as_secs() < 5, "refused by the scan, not by the parser");
}

#[test]
fn an_answer_that_is_no_base64_or_no_response_is_refused() {
    let idp = crate::common::idp();
    let expectation = crate::common::expectation(&idp);
    let code =
        |bytes: &[u8]| identity::saml::verify_response(bytes, &expectation).unwrap_err().code;
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let good = engine.encode(signed(&response(), Layout::Both));
    assert!(identity::saml::verify_response(good.as_bytes(), &expectation).is_ok());
    assert_eq!(code(b""), "saml.shape.xml");
    assert_eq!(code(b"<samlp:Response/>"), "saml.malformed");
    assert_eq!(code(format!("{good}\n").as_bytes()), "saml.malformed");
    assert_eq!(code(&vec![b'A'; 400_000]), "saml.malformed");
    assert_eq!(code(engine.encode("<a/>").as_bytes()), "saml.shape.root");
    assert_eq!(code(engine.encode("<Response/>").as_bytes()), "saml.shape.root");
}

/// One byte of a signed response is changed, anywhere: it is refused, or what is read did not change.
#[test]
fn no_change_of_one_byte_changes_what_is_read() {
    let idp = crate::common::idp();
    let expectation = crate::common::expectation(&idp);
    for layout in [Layout::Assertion, Layout::Both] {
        let good = signed(&response(), layout);
        let honest = verify(&good).unwrap();
        let step = 11;
        for at in (0..good.len()).step_by(step) {
            for flip in [0x01, 0x20] {
                let mut bytes = good.clone().into_bytes();
                bytes[at] ^= flip;
                if let Ok(read) = identity::saml::verify_xml(&bytes, &expectation) {
                    let same = identity::saml::Assertion {
                        response_id: honest.response_id.clone(),
                        notes: honest.notes.clone(),
                        ..read
                    };
                    assert_eq!(same, honest, "byte {at}");
                }
            }
        }
    }
}
