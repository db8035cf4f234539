//! Attacks by the hundred, each made from a right response and refused for its own reason.
//!
//! A case is made anew for every base, so that the same list can run against another judge. Where the attack
//! leaves the honest element and its signature as they were, the case says so; no second verifier has been
//! asked yet whether that is true, so a case that broke the signature on its way would not show itself.

use crate::common::{Layout, attacker, sign_one, signed};
use crate::forge::{cut, evil, into_first, resigned};
use crate::generated_parts;

/// One forged or honest response.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The code of the refusal, or `accepted`.
    pub(crate) expect: &'static str,
    /// The element whose signature still holds, if it is there to be found.
    pub(crate) intact: Option<&'static str>,
    pub(crate) make: Box<dyn Fn(&str) -> Vec<u8>>,
}

impl Case {
    /// Makes it from an unsigned response whose IDs are `_response` and `_assertion`.
    pub(crate) fn make(&self, base: &str) -> Vec<u8> {
        (self.make)(base)
    }
}

/// The list, as it grows.
#[derive(Default)]
pub(crate) struct Cases(pub(crate) Vec<Case>);

impl Cases {
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        expect: &'static str,
        make: impl Fn(&str) -> String + 'static,
    ) {
        let make = Box::new(move |base: &str| make(base).into_bytes());
        self.0.push(Case { name: name.into(), expect, intact: None, make });
    }

    fn add_intact(
        &mut self,
        name: impl Into<String>,
        expect: &'static str,
        element: &'static str,
        make: impl Fn(&str) -> String + 'static,
    ) {
        self.add(name, expect, make);
        if let Some(case) = self.0.last_mut() {
            case.intact = Some(element);
        }
    }
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    controls(&mut cases);
    wrapped_assertions(&mut cases);
    wrapped_responses(&mut cases);
    split_texts(&mut cases);
    pollution(&mut cases);
    generated_parts::algorithms(&mut cases);
    generated_parts::references(&mut cases);
    generated_parts::keys_and_values(&mut cases);
    generated_parts::documents(&mut cases);
    crate::generated_profile::profile(&mut cases);
    crate::encrypted::cases(&mut cases);
    cases.0
}

fn controls(cases: &mut Cases) {
    for layout in [Layout::Assertion, Layout::Response, Layout::Both] {
        cases.add(format!("control {layout:?}"), "accepted", move |base| signed(base, layout));
        cases.add(format!("control {layout:?}, XML declaration"), "accepted", move |base| {
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", signed(base, layout))
        });
    }
    cases.add("control, cut and put back", "accepted", |base| {
        let (assertion, without) = cut(&signed(base, Layout::Assertion), "Assertion");
        last_child(&without, "samlp:Response", &assertion)
    });
    cases.add("control, character references", "accepted", |base| {
        signed(&base.replace("det.ruiz", "det&#46;ruiz"), Layout::Both)
    });
    cases.add("control, character references after signing", "accepted", |base| {
        signed(base, Layout::Both).replace("det.ruiz", "det&#x2e;ruiz")
    });
}

fn last_child(xml: &str, parent: &str, what: &str) -> String {
    let end = xml.rfind(&format!("</{parent}>")).unwrap();
    [&xml[..end], what, &xml[end..]].concat()
}

/// How the attacker's assertion is dressed.
const DRESSES: [&str; 4] = ["bare", "same ID", "signature copied", "signed by the attacker"];

fn dressed(dress: &str, honest: &str) -> String {
    let bare = evil(honest);
    match dress {
        "same ID" => bare.replace("_evil", "_assertion"),
        "signature copied" => {
            let signature = cut(&crate::forge::wrapped(honest), "Signature").0;
            bare.replacen("</saml:Issuer>", &format!("</saml:Issuer>{signature}"), 1)
        }
        "signed by the attacker" => {
            let whole = crate::forge::wrapped(&bare);
            let whole = sign_one(&whole, "_evil", attacker());
            cut(&whole, "Assertion").0
        }
        _ => bare,
    }
}

type Place = (&'static str, &'static str, fn(&str, &str, &str) -> String);

/// Where the honest assertion goes, and where the evil one: what is left of the response, honest, evil.
const PLACES: [Place; 15] = [
    ("evil before", "count", |rest, honest, evil| {
        last_child(rest, "samlp:Response", &format!("{evil}{honest}"))
    }),
    ("evil after", "count", |rest, honest, evil| {
        last_child(rest, "samlp:Response", &format!("{honest}{evil}"))
    }),
    ("honest inside evil", "placed", |rest, honest, evil| {
        last_child(rest, "samlp:Response", &last_child(evil, "saml:Assertion", honest))
    }),
    ("honest in evil's Advice", "advised", |rest, honest, evil| {
        let advice = format!("<saml:Advice>{honest}</saml:Advice>");
        last_child(rest, "samlp:Response", &last_child(evil, "saml:Assertion", &advice))
    }),
    ("honest in evil's SubjectConfirmationData", "placed", |rest, honest, evil| {
        let inside = into_first(evil, "saml:SubjectConfirmationData", honest);
        last_child(rest, "samlp:Response", &inside)
    }),
    ("honest in evil's AttributeValue", "placed", |rest, honest, evil| {
        let inside = into_first(evil, "saml:AttributeValue", honest);
        last_child(rest, "samlp:Response", &inside)
    }),
    ("honest in evil's Issuer", "placed", |rest, honest, evil| {
        last_child(rest, "samlp:Response", &into_first(evil, "saml:Issuer", honest))
    }),
    ("honest in evil's NameID", "placed", |rest, honest, evil| {
        last_child(rest, "samlp:Response", &into_first(evil, "saml:NameID", honest))
    }),
    ("honest in an Object of a signature", "placed", |rest, honest, evil| {
        let object = format!(
            "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:Object>{honest}\
             </ds:Object></ds:Signature>"
        );
        last_child(rest, "samlp:Response", &last_child(evil, "saml:Assertion", &object))
    }),
    ("honest in a KeyInfo", "placed", |rest, honest, evil| {
        let info = format!(
            "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:KeyInfo>{honest}\
             </ds:KeyInfo></ds:Signature>"
        );
        last_child(rest, "samlp:Response", &last_child(evil, "saml:Assertion", &info))
    }),
    ("honest in Extensions", "placed", |rest, honest, evil| {
        let extensions = format!("<samlp:Extensions>{honest}</samlp:Extensions>{evil}");
        last_child(rest, "samlp:Response", &extensions)
    }),
    ("evil in Extensions", "placed", |rest, honest, evil| {
        let extensions = format!("<samlp:Extensions>{evil}</samlp:Extensions>{honest}");
        last_child(rest, "samlp:Response", &extensions)
    }),
    ("honest in StatusDetail", "placed", |rest, honest, evil| {
        let detail = format!("<samlp:StatusDetail>{honest}</samlp:StatusDetail></samlp:Status>");
        let rest = rest.replacen("</samlp:Status>", &detail, 1);
        last_child(&rest, "samlp:Response", evil)
    }),
    ("evil in StatusDetail", "placed", |rest, honest, evil| {
        let detail = format!("<samlp:StatusDetail>{evil}</samlp:StatusDetail></samlp:Status>");
        let rest = rest.replacen("</samlp:Status>", &detail, 1);
        last_child(&rest, "samlp:Response", honest)
    }),
    ("honest in an EncryptedAssertion", "placed", |rest, honest, evil| {
        let both = format!("<saml:EncryptedAssertion>{honest}</saml:EncryptedAssertion>{evil}");
        last_child(rest, "samlp:Response", &both)
    }),
];

/// XSW3 to XSW8 and what lies between them: 15 places in 4 dresses.
fn wrapped_assertions(cases: &mut Cases) {
    for (place, kind, put) in PLACES {
        for dress in DRESSES {
            let expect = match (kind, dress) {
                ("placed", _) => "saml.shape.placement",
                (_, "same ID") => "saml.shape.id",
                ("count", _) => "saml.shape.assertion",
                (_, "signature copied") => "saml.signature.reference",
                (_, "signed by the attacker") => "saml.signature.invalid",
                (_, _) => "saml.signature.missing",
            };
            let make = move |base: &str| {
                let good = signed(base, Layout::Assertion);
                let (honest, rest) = cut(&good, "Assertion");
                put(&rest, &honest, &dressed(dress, &honest))
            };
            let name = format!("XSW: {place}, {dress}");
            // With the ID there twice, xmlsec1 finds whichever comes first.
            if matches!(dress, "bare") {
                cases.add_intact(name, expect, "Assertion", make);
            } else {
                cases.add(name, expect, make);
            }
        }
    }
}

/// XSW1 and XSW2 and their like: the signed response is put inside an evil one.
fn wrapped_responses(cases: &mut Cases) {
    let places: [(&str, fn(&str, &str, &str) -> String); 6] = [
        ("in an Object", |evil, honest, signature| {
            let object = format!("<ds:Object>{honest}</ds:Object></ds:Signature>");
            let signature = signature.replace("</ds:Signature>", &object);
            evil.replacen("</saml:Issuer>", &format!("</saml:Issuer>{signature}"), 1)
        }),
        ("beside the signature", |evil, honest, signature| {
            evil.replacen("</saml:Issuer>", &format!("</saml:Issuer>{honest}{signature}"), 1)
        }),
        ("in Extensions", |evil, honest, signature| {
            let both =
                format!("</saml:Issuer>{signature}<samlp:Extensions>{honest}</samlp:Extensions>");
            evil.replacen("</saml:Issuer>", &both, 1)
        }),
        ("in StatusDetail", |evil, honest, _| {
            let detail =
                format!("<samlp:StatusDetail>{honest}</samlp:StatusDetail></samlp:Status>");
            evil.replacen("</samlp:Status>", &detail, 1)
        }),
        ("in Advice", |evil, honest, _| {
            last_child(evil, "saml:Assertion", &format!("<saml:Advice>{honest}</saml:Advice>"))
        }),
        ("in an AttributeValue", |evil, honest, _| into_first(evil, "saml:AttributeValue", honest)),
    ];
    for (place, put) in places {
        for (dress, whole) in [("signature left inside", true), ("signature taken out", false)] {
            let make = move |base: &str| {
                let good = signed(base, Layout::Response);
                let (signature, bare) = cut(&good, "Signature");
                let evil = bare
                    .replace("\"_response\"", "\"_evil\"")
                    .replace("\"_assertion\"", "\"_evil2\"")
                    .replace("det.ruiz", "chief.evil");
                put(&evil, if whole { &good } else { &bare }, &signature)
            };
            let name = format!("XSW: honest response {place}, {dress}");
            if whole {
                cases.add_intact(name, "saml.shape.placement", "Response", make);
            } else {
                cases.add(name, "saml.shape.placement", make);
            }
        }
    }
}

/// Texts that parsers read differently: comments, instructions, CDATA, and elements between.
fn split_texts(cases: &mut Cases) {
    let places = [
        ("NameID", "det.ruiz", "det", ".ruiz"),
        ("attribute", ">detective", ">detect", "ive"),
        ("audience", "/saml/metadata</saml:Audience>", "/saml", "/metadata</saml:Audience>"),
        ("issuer", "/metadata</saml:Issuer>", "/meta", "data</saml:Issuer>"),
        ("context", "profile/mfa", "profile", "/mfa"),
    ];
    let markups = [("comment", "<!-- -->"), ("instruction", "<?x y?>"), ("CDATA", "<![CDATA[]]>")];
    for (place, whole, before, after) in places {
        for (kind, markup) in markups {
            let split = format!("{before}{markup}{after}");
            let after_signing = split.clone();
            cases.add(format!("{kind} in {place}, signed"), "saml.shape.markup", move |base| {
                // Signed first without it: the canonical form is the same with a comment and without.
                signed(base, Layout::Assertion).replacen(whole, &after_signing, 1)
            });
            cases.add(
                format!("{kind} in {place}, both signed"),
                "saml.shape.markup",
                move |base| signed(base, Layout::Both).replace(whole, &split),
            );
        }
        let expect = match place {
            "NameID" => "saml.nameid",
            "attribute" => "accepted",
            "audience" => "saml.conditions.audience",
            "issuer" => "saml.issuer",
            _ => "saml.authn.context",
        };
        // The provider itself signs an element in the middle of the text: it is never flattened.
        let split = format!("{before}<x:b xmlns:x=\"urn:x\"></x:b>{after}");
        cases.add(format!("element in {place}, signed by the provider"), expect, move |base| {
            signed(&base.replace(whole, &split), Layout::Both)
        });
    }
    for (value, tag) in
        [("DigestValue", "<ds:DigestValue>"), ("SignatureValue", "<ds:SignatureValue>")]
    {
        for (kind, markup) in markups {
            cases.add(format!("{kind} in {value}"), "saml.shape.markup", move |base| {
                signed(base, Layout::Response).replacen(tag, &format!("{tag}{markup}"), 1)
            });
        }
        cases.add(format!("element in {value}"), "saml.shape.signature", move |base| {
            let odd = format!("{tag}<x:b xmlns:x=\"urn:x\"></x:b>");
            signed(base, Layout::Response).replacen(tag, &odd, 1)
        });
    }
}

/// Attributes and namespaces that one reader sees and another does not.
fn pollution(cases: &mut Cases) {
    let attributes = [
        ("saml:ID", "saml:ID=\"_x\""),
        ("xml:id", "xml:id=\"_x\""),
        ("Id", "Id=\"_x\""),
        ("id", "id=\"_x\""),
        ("foreign ID", "xmlns:f=\"urn:f\" f:ID=\"_x\""),
        ("foreign iD", "xmlns:f=\"urn:f\" f:iD=\"_x\""),
        ("foreign Version", "xmlns:f=\"urn:f\" f:Version=\"2.0\""),
    ];
    for (what, attribute) in attributes {
        for element in ["samlp:Response", "saml:Assertion"] {
            let start = format!("<{element} {attribute} ");
            cases.add(format!("{what} on {element}"), "saml.shape.attribute", move |base| {
                let from = format!("<{element} ");
                signed(&base.replacen(&from, &start, 1), Layout::Both)
            });
        }
    }
    cases.add("the ID there twice", "saml.shape.xml", |base| {
        signed(base, Layout::Both).replacen(
            "ID=\"_assertion\"",
            "ID=\"_assertion\" ID=\"_evil\"",
            1,
        )
    });
    for (what, from, to) in [
        ("relative namespace", "<saml:Assertion ", "<saml:Assertion xmlns:r=\"r\" "),
        ("relative namespace with a path", "<saml:Assertion ", "<saml:Assertion xmlns:r=\"../r\" "),
        ("namespace without scheme", "<samlp:Status>", "<samlp:Status xmlns:r=\"//r\">"),
        ("namespace of a bare scheme", "<samlp:Status>", "<samlp:Status xmlns:r=\"urn:\">"),
    ] {
        cases.add(format!("void canonicalisation: {what}"), "saml.shape.namespace", move |base| {
            signed(base, Layout::Both).replacen(from, to, 1)
        });
    }
    cases.add("void canonicalisation: digest of nothing", "saml.signature.digest", |base| {
        resigned(&signed(base, Layout::Response), |info| {
            let from = info.find("<ds:DigestValue>").unwrap();
            let to = info.find("</ds:DigestValue>").unwrap();
            let empty = "<ds:DigestValue>47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
            [&info[..from], empty, &info[to..]].concat()
        })
    });
    for (what, prefix, namespace, expect) in [
        ("protocol prefix bound anew", "samlp", "urn:evil", "saml.shape.root"),
        ("assertion of another namespace", "saml", "urn:evil", "saml.shape.placement"),
    ] {
        cases.add(format!("namespace pollution: {what}"), expect, move |base| {
            let from = format!("xmlns:{prefix}=\"urn:oasis:names:tc:SAML:2.0:");
            let good = signed(base, Layout::Assertion);
            let at = good.find(&from).unwrap();
            let end = at + good[at..].find("\" ").unwrap();
            [&good[..at], &format!("xmlns:{prefix}=\"{namespace}"), &good[end..]].concat()
        });
    }
    cases.add("namespace pollution: a signature of another", "saml.shape.placement", |base| {
        let fake = "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig\"";
        let real = "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
        signed(base, Layout::Assertion).replace(real, fake)
    });
    cases.add("namespace pollution: PrefixList of everything", "accepted", |base| {
        let good = signed(base, Layout::Assertion);
        resigned(&good, |info| info.to_owned())
    });
    cases.add("namespace pollution: a prefix bound to two", "saml.signature.digest", |base| {
        let good = signed(base, Layout::Assertion);
        good.replacen("<saml:NameID ", "<saml:NameID xmlns:xs=\"urn:evil\" xs:x=\"\" ", 1)
            .replacen(" xs:x=\"\"", "", 1)
            .replacen("det.ruiz", "chief.evil", 1)
    });
}
