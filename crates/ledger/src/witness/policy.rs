//! Which witnesses are enough (C2SP tlog-policy): a text of `log`, `witness`, `group` and `quorum`
//! lines.
//!
//! Invariant: a policy that was read has exactly one quorum, names nothing twice, and counts each witness
//! in one way only.

use std::collections::BTreeMap;

use crate::note::VerifierKey;
use crate::witness::WitnessKey;

/// The longest policy.
pub const POLICY_BYTES_MAX: usize = 64 << 10;
/// Most logs, witnesses and groups, each.
pub const POLICY_NAMES_MAX: usize = 64;

/// Why a text is not a policy, and in which line (from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct PolicyError {
    pub line: usize,
    pub what: &'static str,
}

/// A rule about a set of witnesses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// No cosignature is needed.
    None,
    /// This witness, by its place among [`Policy::witnesses`].
    Witness(usize),
    /// At least so many of these.
    Group(usize, Vec<Self>),
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Keys and, where given, addresses.
    pub logs: Vec<(VerifierKey, Option<String>)>,
    /// Names, keys and, where given, addresses.
    pub witnesses: Vec<(String, WitnessKey, Option<String>)>,
    pub quorum: Quorum,
}

impl Quorum {
    /// Any one of so many witnesses.
    pub fn any(count: usize) -> Self {
        if count == 0 {
            Self::None
        } else {
            Self::Group(1, (0..count).map(Self::Witness).collect())
        }
    }

    /// Whether the witnesses for which `has` holds are enough.
    pub fn met(&self, has: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Self::None => true,
            Self::Witness(at) => has(*at),
            Self::Group(least, members) => {
                members.iter().filter(|member| member.met(has)).count() >= *least
            }
        }
    }
}

impl Policy {
    /// Reads a policy. Octets that are not ASCII are taken as they are; of control characters only tab
    /// and newline may occur.
    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let whole = |what| PolicyError { line: 0, what };
        if text.len() > POLICY_BYTES_MAX {
            return Err(whole("longer than 64 KiB"));
        }
        let body = match text.strip_suffix(b"\n") {
            Some(body) => body,
            None if text.is_empty() => text,
            None => return Err(whole("the last line does not end")),
        };
        let mut reading = Reading::default();
        for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
            reading.line(line).map_err(|what| PolicyError { line: index + 1, what })?;
        }
        let quorum = reading.quorum.ok_or(whole("there is no quorum line"))?;
        Ok(Self { logs: reading.logs, witnesses: reading.witnesses, quorum })
    }
}

#[derive(Default)]
struct Reading {
    logs: Vec<(VerifierKey, Option<String>)>,
    witnesses: Vec<(String, WitnessKey, Option<String>)>,
    /// Names, what they stand for, and whether they are a member of something already.
    names: BTreeMap<Vec<u8>, (Quorum, bool)>,
    groups: usize,
    quorum: Option<Quorum>,
}

impl Reading {
    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let odd = |byte: &u8| *byte != b'\t' && (*byte < b' ' || *byte == 0x7f);
        if line.iter().any(odd) {
            return Err("a control character");
        }
        let words = line.split(|byte| matches!(byte, b' ' | b'\t'));
        let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] => self.log(key, None),
            [b"log", key, url] => self.log(key, Some(url)),
            [b"witness", name, key] => self.witness(name, key, None),
            [b"witness", name, key, url] => self.witness(name, key, Some(url)),
            [b"group", name, least, members @ ..] if !members.is_empty() => {
                self.group(name, least, members)
            }
            [b"quorum", name] => self.set_quorum(name),
            _ => Err("not a log, witness, group or quorum line"),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&&[u8]>) -> Result<(), &'static str> {
        let key = utf8(key)?;
        let key = VerifierKey::parse(key).map_err(|_| "not the verifier key of a log")?;
        if self.logs.iter().any(|(other, _)| other.public == key.public) {
            return Err("a log twice");
        }
        if self.logs.len() == POLICY_NAMES_MAX {
            return Err("more than 64 logs");
        }
        self.logs.push((key, url.map(|url| lossy(url))));
        Ok(())
    }

    fn witness(
        &mut self,
        name: &[u8],
        key: &[u8],
        url: Option<&&[u8]>,
    ) -> Result<(), &'static str> {
        let key = utf8(key)?;
        let key = WitnessKey::parse(key).map_err(|_| "not the verifier key of a witness")?;
        if self.witnesses.iter().any(|(_, other, _)| other.public == key.public) {
            return Err("a witness twice");
        }
        if self.witnesses.len() == POLICY_NAMES_MAX {
            return Err("more than 64 witnesses");
        }
        self.define(name, Quorum::Witness(self.witnesses.len()))?;
        self.witnesses.push((lossy(name), key, url.map(|url| lossy(url))));
        Ok(())
    }

    fn group(&mut self, name: &[u8], least: &[u8], members: &[&[u8]]) -> Result<(), &'static str> {
        let count = members.len();
        let least = match least {
            b"any" => 1,
            b"all" => count,
            digits => decimal(digits).ok_or("not `all`, `any` or a number")?,
        };
        if !(1..=count).contains(&least) {
            return Err("a number that is not from 1 to the number of members");
        }
        if self.groups == POLICY_NAMES_MAX {
            return Err("more than 64 groups");
        }
        let mut taken = Vec::with_capacity(count);
        for member in members {
            let named = self.names.get_mut(*member);
            let (quorum, used) = named.ok_or("a member that is not defined before")?;
            if std::mem::replace(used, true) {
                return Err("a member that is one already");
            }
            taken.push(quorum.clone());
        }
        self.groups += 1;
        self.define(name, Quorum::Group(least, taken))
    }

    fn set_quorum(&mut self, name: &[u8]) -> Result<(), &'static str> {
        if self.quorum.is_some() {
            return Err("a second quorum line");
        }
        let quorum = match name {
            b"none" => Quorum::None,
            name => {
                let named = self.names.get(name);
                let (quorum, _) = named.ok_or("a quorum that is not defined before")?;
                quorum.clone()
            }
        };
        self.quorum = Some(quorum);
        Ok(())
    }

    fn define(&mut self, name: &[u8], as_what: Quorum) -> Result<(), &'static str> {
        if name == b"none" || self.names.contains_key(name) {
            return Err("a name that is taken");
        }
        self.names.insert(name.to_vec(), (as_what, false));
        Ok(())
    }
}

fn decimal(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn utf8(bytes: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(bytes).map_err(|_| "a key that is not text")
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
