//! Messages that others published: RFC 7515, appendix A.2 and A.3.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::oidc::jose::{Flaw, Jws};
use identity::oidc::jwks::Jwks;
use serde_json::json;

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

const RS256: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

const ES256: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn keys() -> Jwks {
    let set = json!({"keys": [
        {"kty": "RSA", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    ]});
    Jwks::parse(set.to_string().as_bytes()).unwrap()
}

#[test]
fn the_rfcs_own_messages_verify_and_altered_ones_do_not() {
    for (header, signature) in [("eyJhbGciOiJSUzI1NiJ9", RS256), ("eyJhbGciOiJFUzI1NiJ9", ES256)] {
        let message = Jws::parse(&format!("{header}.{PAYLOAD}.{signature}")).unwrap();
        assert_eq!(message.verify(&keys()).unwrap()["iss"], "joe");
        let altered = URL_SAFE_NO_PAD.encode(r#"{"iss":"joe","exp":1300819381}"#);
        let altered = Jws::parse(&format!("{header}.{altered}.{signature}")).unwrap();
        assert_eq!(altered.verify(&keys()), Err(Flaw::Signature));
        let short = &signature[..signature.len() - 2];
        let short = Jws::parse(&format!("{header}.{PAYLOAD}.{short}")).unwrap();
        assert_eq!(short.verify(&keys()), Err(Flaw::Signature));
        // No second text for the same message: padding and stray bits.
        for other in [format!("{signature}="), format!("{signature} ")] {
            let text = format!("{header}.{PAYLOAD}.{other}");
            assert!(matches!(Jws::parse(&text), Err(Flaw::Malformed(_))));
        }
    }
}

#[test]
fn an_elliptic_signature_of_zeros_or_in_asn1_is_none() {
    for signature in ["A".repeat(86), "MEUCIQ".to_owned(), String::new()] {
        let message = Jws::parse(&format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.{signature}")).unwrap();
        assert_eq!(message.verify(&keys()), Err(Flaw::Signature), "{signature}");
    }
}

#[test]
fn a_message_without_a_key_name_needs_the_only_key_that_fits() {
    let two = json!({"keys": [
        crate::provider::jwk(&crate::provider::KEY, "one"),
        crate::provider::jwk(&crate::provider::OTHER, "two"),
    ]});
    let two = Jwks::parse(two.to_string().as_bytes()).unwrap();
    let message = Jws::parse(&format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.{RS256}")).unwrap();
    assert_eq!(message.verify(&two), Err(Flaw::Key));
}

/// Entra ID's older tokens name their key by a certificate's SHA-1 as well (`x5t`), which names nothing here.
#[test]
fn a_thumbprint_is_no_name_of_a_key() {
    use crate::provider::{KEY, OTHER, jwk, jws};
    let with = |key: &keys::sign::RsaKey, kid: &str| {
        let mut key = jwk(key, kid);
        key["x5t"] = json!(kid);
        key
    };
    let both = json!({"keys": [with(&KEY, "one"), with(&OTHER, "two")]});
    let both = Jwks::parse(both.to_string().as_bytes()).unwrap();
    let alone = json!({"keys": [with(&KEY, "one")]});
    let alone = Jwks::parse(alone.to_string().as_bytes()).unwrap();
    let claims = json!({"iss": "joe"});
    let verify = |header: &serde_json::Value, keys: &Jwks| {
        Jws::parse(&jws(header, &claims, &KEY)).unwrap().verify(keys).map(|_| ())
    };
    let named = json!({"alg": "RS256", "kid": "one", "x5t": "two"});
    assert_eq!(verify(&named, &both), Ok(()), "the name counts, whatever stands beside it");
    let thumbprint = json!({"alg": "RS256", "x5t": "one"});
    assert_eq!(verify(&thumbprint, &both), Err(Flaw::Key));
    assert_eq!(verify(&thumbprint, &alone), Ok(()), "it is the only key that fits");
}
