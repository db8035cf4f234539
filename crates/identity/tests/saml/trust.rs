//! Stories of metadata that proves itself: by a hash, or by a signature over the whole of it.

use identity::saml::trust::{Trust, believed};

use crate::common::{attacker, idp_signer, metadata_of, sign_one};
use crate::forge::{cut, into_first};

fn unsigned() -> String {
    metadata_of(&[&idp_signer().certificate])
        .replace("entityID=", "ID=\"_metadata\" entityID=")
        .replace("<!-- pinned -->", "")
}

#[test]
fn metadata_is_believed_for_its_hash_or_its_signature_and_only_what_was_signed_is_read() {
    let plain = unsigned();
    let code = |xml: &str, trust: &Trust| {
        believed(xml.as_bytes(), trust).map_or_else(|refusal| refusal.code, |_| "believed")
    };
    let hash = Trust::Pinned(keys::digest::sha256(plain.as_bytes()));
    assert_eq!(code(&plain, &hash), "believed");
    assert_eq!(code(&format!("{plain}\n"), &hash), "idp.metadata.hash");

    let signed = Trust::Signed(vec![idp_signer().certificate.clone()]);
    let good = sign_one(&plain, "_metadata", idp_signer());
    assert_eq!(code(&good, &signed), "believed");
    let read = believed(good.as_bytes(), &signed).unwrap();
    let read = std::str::from_utf8(&read).unwrap();
    assert!(!read.contains("Signature>") && read.contains("SingleSignOnService"), "{read}");

    let evil = "<md:SingleSignOnService \
                Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
                Location=\"https://evil.example/\"/>";
    let signature = cut(&good, "Signature").0;
    let wrapper = format!(
        "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" ID=\"_evil\" \
         entityID=\"evil\">{signature}{plain}</md:EntityDescriptor>",
        plain = plain.replace("<?xml version=\"1.0\"?>\n", "")
    );
    for (what, xml, expected) in [
        ("unsigned", plain.clone(), "idp.metadata.unsigned"),
        ("of another", sign_one(&plain, "_metadata", attacker()), "saml.signature.invalid"),
        ("changed", good.replace("2027", "2037"), "saml.signature.digest"),
        ("added to", into_first(&good, "md:IDPSSODescriptor", evil), "saml.signature.digest"),
        ("wrapped", wrapper, "saml.signature.reference"),
        ("an ID twice", good.replace("<md:IDP", "<md:IDP ID=\"_metadata\" "), "saml.shape.xml"),
        ("another root", good.replace("md:EntityDescriptor", "md:Other"), "idp.metadata.root"),
        ("a document type", good.replace("?>", "?><!DOCTYPE x>"), "saml.shape.markup"),
    ] {
        assert_eq!(code(&xml, &signed), expected, "{what}");
    }
}
