//! JSON objects from outside, read so that no two readers can see two things: a name that is there twice
//! refuses the whole (RFC 8259, 4; RFC 7519, 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A JSON object of at most `bytes_max`, in which every name is there once at every depth. `None`: it is not.
pub(crate) fn object(bytes: &[u8], bytes_max: usize) -> Option<Map<String, Value>> {
    if bytes.len() > bytes_max {
        return None;
    }
    match serde_json::from_slice::<Strict>(bytes).ok()?.0 {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The text of a member; `None` if it is absent or something else.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// The texts of a member that is a text or a list of nothing but texts.
pub(crate) fn texts(object: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    match object.get(name)? {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(many) => many.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Whole).map(Self)
    }
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Value, E> {
        Number::from_f64(it).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Value, E> {
        Ok(Value::String(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(one)) = from.next_element()? {
            all.push(one);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, Strict(value))) = from.next_entry::<String, Strict>()? {
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is there twice"));
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_stands() {
        let bytes = br#"{"a":1,"b":[true,null,-2,1.5],"c":{"a":"x"}}"#;
        let read = Value::Object(object(bytes, 100).unwrap());
        assert_eq!(read, serde_json::from_slice::<Value>(bytes).unwrap());
    }

    #[test]
    fn a_name_twice_anything_but_an_object_and_too_much_are_refused() {
        for bytes in [
            &br#"{"a":1,"a":1}"#[..],
            br#"{"c":{"a":1,"\u0061":2}}"#,
            br#"[{"a":1,"a":1}]"#,
            b"[]",
            b"\"a\"",
            b"{} {}",
            b"{",
            b"",
            b"{\"a\":\xff}",
        ] {
            assert_eq!(object(bytes, 100), None, "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(object(b"{    }", 5), None);
        let deep = [b"{\"a\":".repeat(500), b"1".to_vec(), b"}".repeat(500)].concat();
        assert_eq!(object(&deep, 100_000), None);
    }
}
