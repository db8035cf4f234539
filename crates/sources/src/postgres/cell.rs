//! Values on their way from PostgreSQL, out of its binary formats.
//!
//! Invariant: a type that is not known here is an error that names the column, never a guess.

use std::error::Error;

use gate::Value;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use tokio_postgres::types::{FromSql, Kind, Type};

/// One value.
pub(super) struct Cell(pub(super) Value);

type Failure = Box<dyn Error + Sync + Send>;

/// 2000-01-01T00:00:00Z, from which PostgreSQL counts, in microseconds of Unix time.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self(value(kind, raw)?))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        is_text(kind)
            || [
                Type::BOOL,
                Type::INT2,
                Type::INT4,
                Type::INT8,
                Type::OID,
                Type::FLOAT4,
                Type::FLOAT8,
                Type::NUMERIC,
                Type::DATE,
                Type::TIME,
                Type::TIMESTAMP,
                Type::TIMESTAMPTZ,
                Type::UUID,
            ]
            .contains(kind)
    }
}

fn is_text(kind: &Type) -> bool {
    [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::JSON, Type::UNKNOWN].contains(kind)
        || matches!(kind.kind(), Kind::Enum(_))
}

fn value(kind: &Type, raw: &[u8]) -> Result<Value, Failure> {
    if is_text(kind) {
        return Ok(Value::Text(std::str::from_utf8(raw)?.to_owned()));
    }
    Ok(match *kind {
        Type::BOOL => Value::Bool(bool::from_sql(kind, raw)?),
        Type::INT2 => Value::Int(i16::from_sql(kind, raw)?.into()),
        Type::INT4 => Value::Int(i32::from_sql(kind, raw)?.into()),
        Type::INT8 => Value::Int(i64::from_sql(kind, raw)?),
        Type::OID => Value::Int(u32::from_sql(kind, raw)?.into()),
        Type::FLOAT4 => Value::Real(f32::from_sql(kind, raw)?.into()),
        Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
        Type::NUMERIC => numeric(raw)?,
        Type::DATE => date(i32::from_be_bytes(raw.try_into()?))?,
        Type::TIME => time(i64::from_be_bytes(raw.try_into()?))?,
        Type::TIMESTAMP => moment(i64::from_be_bytes(raw.try_into()?), |moment| {
            moment.to_zoned(TimeZone::UTC).datetime().to_string()
        })?,
        Type::TIMESTAMPTZ => {
            moment(i64::from_be_bytes(raw.try_into()?), |moment| moment.to_string())?
        }
        Type::UUID => Value::Text(uuid(raw.try_into()?)),
        _ => return Err("a type that is not read".into()),
    })
}

fn date(days: i32) -> Result<Value, Failure> {
    let text = match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => {
            let span = jiff::Span::new().try_days(days)?;
            civil::date(2000, 1, 1).checked_add(span)?.to_string()
        }
    };
    Ok(Value::Text(text))
}

fn time(microseconds: i64) -> Result<Value, Failure> {
    let since_midnight = SignedDuration::from_micros(microseconds);
    Ok(Value::Text(civil::Time::midnight().checked_add(since_midnight)?.to_string()))
}

fn moment(microseconds: i64, text: impl Fn(Timestamp) -> String) -> Result<Value, Failure> {
    let text = match microseconds {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        since => {
            let unix = since.checked_add(EPOCH_MICROSECONDS).ok_or("a moment out of range")?;
            text(Timestamp::from_microsecond(unix)?)
        }
    };
    Ok(Value::Text(text))
}

fn uuid(raw: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (position, byte) in raw.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Digits to the base of 10,000, most significant first, the first of them weighing 10,000^weight.
/// Whole numbers that fit become [`Value::Int`], all others exact text.
fn numeric(raw: &[u8]) -> Result<Value, Failure> {
    let (words, rest) = raw.as_chunks::<2>();
    let mut words = words.iter().map(|word| i16::from_be_bytes(*word));
    let mut next = || words.next().ok_or("a number that is cut short");
    let (count, weight, sign, scale) = (next()?, next()?, next()?, next()?);
    let text = match sign.cast_unsigned() {
        0x0000 | 0x4000 => {
            let digits: Vec<i16> = words.collect();
            if !rest.is_empty() || usize::try_from(count)? != digits.len() {
                return Err("a number that is cut short".into());
            }
            let minus = if sign == 0 { "" } else { "-" };
            format!("{minus}{}", decimal(&digits, weight, usize::try_from(scale)?))
        }
        0xC000 => "NaN".to_owned(),
        0xD000 => "Infinity".to_owned(),
        0xF000 => "-Infinity".to_owned(),
        _ => return Err("a number with an unknown sign".into()),
    };
    Ok(text.parse().map_or(Value::Text(text), Value::Int))
}

fn decimal(digits: &[i16], weight: i16, scale: usize) -> String {
    let digit = |place: i32| {
        let position = usize::try_from(i32::from(weight) - place).ok();
        position.and_then(|position| digits.get(position)).copied().unwrap_or(0)
    };
    let mut text: String =
        (0..=i32::from(weight.max(0))).rev().map(|place| format!("{:04}", digit(place))).collect();
    let zeros = text.len() - text.trim_start_matches('0').len();
    text.drain(..zeros.min(text.len().saturating_sub(1)));
    if scale > 0 {
        let groups = i32::try_from(scale.div_ceil(4)).unwrap_or(i32::MAX);
        let fraction: String = (1..=groups).map(|place| format!("{:04}", digit(-place))).collect();
        text.push('.');
        text.extend(fraction.chars().take(scale));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[u16], expected: &Value) {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let found = numeric(&raw).unwrap();
        assert!(found == *expected, "`{found}` instead of `{expected}`");
    }

    #[test]
    fn numbers_keep_every_digit() {
        let text = |text: &str| Value::Text(text.to_owned());
        check(&[0, 0, 0, 0], &Value::Int(0));
        check(&[1, 0, 0, 0, 7], &Value::Int(7));
        check(&[1, 1, 0, 0, 12], &Value::Int(120_000));
        check(&[2, 1, 0x4000, 0, 1, 2345], &Value::Int(-12_345));
        check(&[2, 0, 0, 2, 12, 3400], &text("12.34"));
        check(&[1, 0xFFFF, 0, 4, 5], &text("0.0005"));
        check(&[1, 0xFFFE, 0, 6, 100], &text("0.000001"));
        check(&[0, 0, 0xC000, 0], &text("NaN"));
        assert!(numeric(&[0, 1]).is_err());
        assert!(numeric(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }
}
