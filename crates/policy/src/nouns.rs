//! Words that mean something, each parsed once at the door.
//!
//! Invariant: a value of these types has the form that its documentation gives. The error says what
//! was expected and never repeats the input, which may be CJI or hostile.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not what it was meant to be. Carries the expected form, not the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {what}: expected {expected}")]
pub struct Malformed {
    /// What it should have been, with its article: "an ORI".
    pub what: &'static str,
    /// The form that is accepted, in words.
    pub expected: &'static str,
}

macro_rules! noun {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $is_sound:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                let is_sound: fn(&str) -> bool = $is_sound;
                if !is_sound(text) {
                    return Err(Malformed { what: $what, expected: $expected });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;

            fn try_from(text: String) -> Result<Self, Malformed> {
                text.parse()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Malformed;

            fn try_from(text: &str) -> Result<Self, Malformed> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(noun: $name) -> Self {
                noun.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

noun!(
    /// An Originating Agency Identifier: nine upper-case letters or digits, as NCIC assigns them.
    Ori,
    "an ORI",
    "nine upper-case letters or digits",
    |text| text.len() == 9 && text.bytes().all(is_upper_or_digit)
);

noun!(
    /// A job function: `patrol-officer`, `detective`, `records-clerk`, `supervisor`,
    /// `security-officer`, `auditor`, `builder`, `administrator`, `investigator`, or one that an
    /// agency's own policies name.
    Function,
    "a job function",
    "a lower-case letter, then 1 to 40 lower-case letters, digits or dashes",
    |text| {
        begins_with(text, u8::is_ascii_lowercase)
            && (2..=41).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

noun!(
    /// Why the record is wanted, as one letter of the NCIC purpose codes ("C": criminal justice).
    PurposeCode,
    "a purpose code",
    "one upper-case letter",
    |text| text.len() == 1 && text.bytes().all(|b| b.is_ascii_uppercase())
);

noun!(
    /// A case number as the agencies of the demo write it: two digits of the year, dash, six digits.
    CaseNumber,
    "a case number",
    "two digits, a dash and six digits, such as 24-000113",
    |text| {
        text.split_once('-').is_some_and(|(year, serial)| {
            let is_number =
                |part: &str, width| part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
            is_number(year, 2) && is_number(serial, 6)
        })
    }
);

noun!(
    /// A handling mark on a record, such as `JUVENILE` or `SEALED`.
    Caveat,
    "a caveat",
    "2 to 31 upper-case letters, digits, dashes or slashes, beginning with a letter or digit",
    |text| {
        (2..=31).contains(&text.len())
            && begins_with(text, |b| is_upper_or_digit(*b))
            && text.bytes().all(|b| is_upper_or_digit(b) || b == b'-' || b == b'/')
    }
);

noun!(
    /// What kind of record: `CJI`, `CHRI`, `VEHICLE`, `INCIDENT`, `EVIDENCE`, `AUDIT`, `PLATFORM`,
    /// or one that an agency's own policies name.
    RecordClass,
    "a record class",
    "2 to 31 upper-case letters, digits or dashes, beginning with a letter",
    |text| {
        (2..=31).contains(&text.len())
            && begins_with(text, u8::is_ascii_uppercase)
            && text.bytes().all(|b| is_upper_or_digit(b) || b == b'-')
    }
);

noun!(
    /// The stable key of one person's account: the identity provider's id, `|`, and the name that
    /// the provider gives the person. At most 256 bytes, no control characters.
    ActorId,
    "an actor id",
    "an identity provider's id, a bar and a name, at most 256 bytes without control characters",
    |text| {
        text.len() <= 256
            && !text.chars().any(char::is_control)
            && text.split_once('|').is_some_and(|(idp, name)| !idp.is_empty() && !name.is_empty())
    }
);

fn begins_with(text: &str, is_first: impl Fn(&u8) -> bool) -> bool {
    text.as_bytes().first().is_some_and(is_first)
}

fn is_upper_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr>(sound: &[&str], unsound: &[&str]) {
        for text in sound {
            assert!(text.parse::<T>().is_ok(), "`{text}` should be accepted");
        }
        for text in unsound {
            assert!(text.parse::<T>().is_err(), "`{text}` should be refused");
        }
    }

    #[test]
    fn nouns_accept_their_form_and_nothing_else() {
        check::<Ori>(
            &["NB0010100"],
            &["", "nb0010100", "NB001010", "NB00101000", "NB00101 0", "ÑB001010"],
        );
        check::<Function>(
            &["patrol-officer", "x1", &"a".repeat(41)],
            &["", "x", "1x", "Detective", "a b", "a_b", &"a".repeat(42)],
        );
        check::<PurposeCode>(&["C"], &["", "c", "CC", "1", "É"]);
        check::<CaseNumber>(
            &["24-000113"],
            &["", "24-00113", "2-000113", "24-0001134", "24_000113", "٢٤-000113", "24-000113\n"],
        );
        check::<Caveat>(&["JUVENILE", "NO/FOREIGN-1"], &["", "J", "juvenile", "-J", "J,K"]);
        check::<RecordClass>(&["CJI", "CJI-2"], &["", "C", "1CJI", "cji", "CJI/2"]);
        check::<ActorId>(
            &["riverton|det.ruiz", "a|b|c"],
            &["", "det.ruiz", "|x", "x|", "a|b\n", &format!("a|{}", "b".repeat(255))],
        );
    }

    #[test]
    fn a_refused_text_is_not_repeated() {
        let refusal = "Marlow".parse::<CaseNumber>().unwrap_err().to_string();
        assert_eq!(
            refusal,
            "not a case number: expected two digits, a dash and six digits, such as 24-000113"
        );
    }
}
