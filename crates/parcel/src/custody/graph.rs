//! The graph of a custody record, read as a stream: node by node, and of each node what is read later.
//!
//! Invariants: what is held grows with neither the fields nor the words that nobody reads; a file's path may stand in a
//! parcel, and no two files have one path or one name; an event names no file twice.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::{around, derivation};
use crate::{CUSTODY_EVENTS_MAX, ENTRIES_MAX, METADATA_BYTES_MAX, name};

/// Links to files and originals in all events: as many as have room in the longest record of ours, whose links take 55
/// bytes and more.
const LINKS_MAX: u64 = METADATA_BYTES_MAX.div_ceil(55);
/// Nodes of originals: as many as have room, for one of ours takes 400 bytes and more.
const ORIGINALS_MAX: usize = 700_000;
/// Other nodes: people, programs, agencies.
const OTHERS_MAX: usize = 100_000;
/// Names of nodes.
const NAMES_MAX: usize = ENTRIES_MAX + ORIGINALS_MAX + OTHERS_MAX;
/// Bytes of a name, an account, a path: what links lead to is said again for each event.
const WORD_BYTES_MAX: usize = 4_096;
/// Bytes of what an event says of itself: a description, a ledger's proof.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A number for each name of a node: four bytes for each link, of which there may be millions.
pub(super) type Number = u32;

/// What was read of a record so far.
#[derive(Default)]
pub(super) struct Graph {
    numbers: HashMap<Box<str>, Number>,
    nodes: HashMap<Number, Node>,
    pub(super) files: usize,
    originals: usize,
    others: usize,
    links: u64,
    pub(super) actions: Vec<Fields>,
}

/// What a link may lead to.
pub(super) enum Node {
    /// Its path.
    File(Box<str>),
    /// Its SHA-256.
    Original(Box<str>),
    Other(Box<Somebody>),
}

/// Somebody, or a program, which has a name only.
#[derive(Default)]
pub(super) struct Somebody {
    pub(super) name: Option<String>,
    pub(super) account: Option<String>,
    pub(super) agency: Option<String>,
    pub(super) role: Option<String>,
}

type Word = Said<WORD_BYTES_MAX>;
type Words = Said<TEXT_BYTES_MAX>;

/// What is read of a node, whatever it is.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) id: Word,
    kind: Word,
    pub(super) name: Word,
    pub(super) description: Words,
    pub(super) started: Word,
    pub(super) ended: Word,
    pub(super) performer: Word,
    pub(super) instrument: Word,
    pub(super) informed: Word,
    account: Word,
    agency: Word,
    role: Word,
    pub(super) purpose: Words,
    pub(super) authority: Words,
    pub(super) origin: Word,
    pub(super) entry: Word,
    pub(super) leaf: Word,
    pub(super) proof: Words,
    /// The files that an event is about.
    pub(super) objects: Option<Vec<Number>>,
    /// What its files were made of.
    pub(super) derived: Option<Vec<Number>>,
    /// What is said of an event's circumstances.
    pub(super) around: Map<String, Value>,
    facets: Vec<Facet>,
}

/// One value: a text, a number, or an object that has a name or a value. Anything else says nothing.
#[derive(Default)]
pub(super) struct Said<const MAX: usize> {
    pub(super) text: Option<String>,
    pub(super) number: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Deserialize)]
struct Facet {
    #[serde(rename = "uco-observable:filePath", default)]
    path: Word,
    #[serde(rename = "uco-observable:hash", default)]
    hash: Hash,
}

#[derive(Default, Deserialize)]
struct Hash {
    #[serde(rename = "uco-types:hashValue", default)]
    value: Word,
}

impl Graph {
    /// The number of this name; `None` where there are more names than a record can hold.
    fn number(&mut self, name: &str) -> Option<Number> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let next = Some(self.numbers.len()).filter(|next| *next < NAMES_MAX);
        let number = Number::try_from(next?).ok()?;
        self.numbers.insert(name.into(), number);
        Some(number)
    }

    /// Takes a node in; `None` where the record can't be one of ours. A node without a name is nothing that a link leads to.
    fn take(&mut self, mut fields: Fields) -> Option<()> {
        match fields.kind.text.as_deref() {
            Some("case-investigation:InvestigativeAction") => {
                let objects = fields.objects.iter_mut();
                objects.for_each(|objects| objects.sort_unstable());
                let distinct = |objects: &Vec<Number>| objects.is_sorted_by(|a, b| a < b);
                let sound = fields.objects.as_ref().is_none_or(distinct);
                self.actions.push(fields);
                return (sound && self.actions.len() <= CUSTODY_EVENTS_MAX).then_some(());
            }
            // No event names a relation, and there may be one for each file.
            Some("uco-observable:ObservableRelationship") => return Some(()),
            Some(_) | None => {}
        }
        let Some(name) = fields.id.text.take() else { return Some(()) };
        let number = self.number(&name)?;
        let node = fields.into_node()?;
        let (count, max) = match &node {
            Node::File(_) => (&mut self.files, ENTRIES_MAX),
            Node::Original(_) => (&mut self.originals, ORIGINALS_MAX),
            Node::Other(_) => (&mut self.others, OTHERS_MAX),
        };
        *count += 1;
        let room = *count <= max;
        let is_file = matches!(node, Node::File(_));
        // An agency that sends to itself stands there twice.
        let once = match self.nodes.insert(number, node) {
            None => true,
            Some(Node::File(_)) => false,
            Some(Node::Original(_) | Node::Other(_)) => !is_file,
        };
        (room && once).then_some(())
    }

    pub(super) fn node(&self, number: Number) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// The node of this name, if it is somebody's or a program's.
    pub(super) fn somebody(&self, name: &str) -> Option<&Somebody> {
        match self.nodes.get(self.numbers.get(name)?)? {
            Node::Other(somebody) => Some(somebody),
            Node::File(_) | Node::Original(_) => None,
        }
    }

    /// The paths of all files, in order.
    pub(super) fn paths(&self) -> Vec<&str> {
        let mut paths = Vec::with_capacity(self.files);
        for node in self.nodes.values() {
            if let Node::File(path) = node {
                paths.push(path.as_ref());
            }
        }
        paths.sort_unstable();
        paths
    }
}

impl Fields {
    /// `None` for a file whose path may not stand in a parcel.
    fn into_node(self) -> Option<Node> {
        let path = self.facets.iter().find_map(|facet| facet.path.text.as_deref());
        if let Some(path) = path.and_then(|path| path.strip_prefix("data/")) {
            return name::objection(path).is_none().then(|| Node::File(path.into()));
        }
        let digest = self.facets.first().and_then(|facet| facet.hash.value.value.as_deref());
        Some(match digest.and_then(derivation::digest) {
            Some(digest) => Node::Original(digest.into()),
            None => Node::Other(Box::new(Somebody {
                name: self.name.text,
                account: self.account.text,
                agency: self.agency.text,
                role: self.role.text,
            })),
        })
    }
}

/// The record: an object with one graph.
pub(super) struct Whole<'g>(pub(super) &'g mut Graph);
/// The graph: a list of nodes.
struct Nodes<'g>(&'g mut Graph);
/// A node: an object, whose files are numbers and not held by name.
struct OneNode<'g>(&'g mut Graph);
/// A list of links.
struct Links<'g>(&'g mut Graph);
/// A link: an object with a name.
struct Link<'g>(&'g mut Graph);

/// A seed whose visitor it is itself.
macro_rules! seed {
    ($name:ident, $how:ident, $gives:ty) => {
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = $gives;

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<$gives, D::Error> {
                from.$how(self)
            }
        }
    };
}
seed!(Whole, deserialize_map, ());
seed!(Nodes, deserialize_seq, ());
seed!(OneNode, deserialize_map, ());
seed!(Links, deserialize_seq, Vec<Number>);
seed!(Link, deserialize_map, Number);

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record with one @graph")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut graphs = 0;
        while let Some(key) = map.next_key::<String>()? {
            if key == "@graph" {
                graphs += 1;
                map.next_value_seed(Nodes(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if graphs == 1 { Ok(()) } else { Err(A::Error::custom("not one @graph")) }
    }
}

impl<'de> Visitor<'de> for Nodes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of nodes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(OneNode(self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> Visitor<'de> for OneNode<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut node = Fields::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "@id" => node.id = map.next_value()?,
                "@type" => node.kind = map.next_value()?,
                "uco-core:name" => node.name = map.next_value()?,
                "uco-core:description" => node.description = map.next_value()?,
                "uco-action:startTime" => node.started = map.next_value()?,
                "uco-action:endTime" => node.ended = map.next_value()?,
                "uco-action:performer" => node.performer = map.next_value()?,
                "uco-action:instrument" => node.instrument = map.next_value()?,
                "case-investigation:wasInformedBy" => node.informed = map.next_value()?,
                "bailiwick:account" => node.account = map.next_value()?,
                "bailiwick:agency" => node.agency = map.next_value()?,
                "bailiwick:role" => node.role = map.next_value()?,
                "bailiwick:purpose" => node.purpose = map.next_value()?,
                "bailiwick:authority" => node.authority = map.next_value()?,
                "bailiwick:ledgerOrigin" => node.origin = map.next_value()?,
                "bailiwick:ledgerEntry" => node.entry = map.next_value()?,
                "bailiwick:ledgerLeaf" => node.leaf = map.next_value()?,
                "bailiwick:ledgerProof" => node.proof = map.next_value()?,
                "uco-action:object" => node.objects = Some(map.next_value_seed(Links(self.0))?),
                derivation::LINKS => node.derived = Some(map.next_value_seed(Links(self.0))?),
                "uco-core:hasFacet" => node.facets = map.next_value::<AtMost<Facet, 2>>()?.0,
                "bailiwick:rootExhibits" => {
                    let roots: AtMost<Word, { around::ROOT_EXHIBITS_MAX }> = map.next_value()?;
                    let roots: Vec<Value> = roots.0.into_iter().map(Said::into_value).collect();
                    node.around.insert(key, roots.into());
                }
                "bailiwick:fromCustodian"
                | "bailiwick:toCustodian"
                | "bailiwick:channel"
                | "bailiwick:peer"
                | "bailiwick:bytes"
                | "bailiwick:attempts"
                | "bailiwick:assurance"
                | "bailiwick:host"
                | "bailiwick:exhibit"
                | "bailiwick:failure" => {
                    let said: Words = map.next_value()?;
                    node.around.insert(key, said.into_value());
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.0.take(node).ok_or_else(|| A::Error::custom("no node of a record of ours"))
    }
}

impl<'de> Visitor<'de> for Links<'_> {
    type Value = Vec<Number>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of links")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        while let Some(number) = seq.next_element_seed(Link(self.0))? {
            out.push(number);
            self.0.links += 1;
            if self.0.links > LINKS_MAX {
                return Err(A::Error::custom("too many links"));
            }
        }
        Ok(out)
    }
}

impl<'de> Visitor<'de> for Link<'_> {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a link")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        let mut number = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "@id" {
                number = self.0.number(&map.next_value::<String>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        number.ok_or_else(|| A::Error::missing_field("@id"))
    }
}

/// A list of at most so many: ours have two facets, the file's and its content's.
struct AtMost<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMost<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Self(Vec::new()))
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for AtMost<T, MOST> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self, A::Error> {
        while let Some(item) = seq.next_element()? {
            self.0.push(item);
            if self.0.len() > MOST {
                return Err(A::Error::custom("too long a list"));
            }
        }
        Ok(self)
    }
}

impl<const MAX: usize> Said<MAX> {
    fn into_value(self) -> Value {
        match (self.text, self.number) {
            (Some(text), _) => text.into(),
            (None, Some(number)) => number.into(),
            (None, None) => Value::Null,
        }
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Said<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self::default())
    }
}

impl<'de, const MAX: usize> Visitor<'de> for Said<MAX> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of at most {MAX} bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self, E> {
        if text.len() > MAX {
            return Err(E::invalid_length(text.len(), &self));
        }
        Ok(Self { text: Some(text.to_owned()), ..self })
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self, E> {
        Ok(Self { number: Some(number), ..self })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "@id" => self.id = map.next_value::<Self>()?.text,
                "@value" => self.value = map.next_value::<Self>()?.text,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(self)
    }
}
