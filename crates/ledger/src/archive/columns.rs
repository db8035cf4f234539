//! Entries as Parquet, one row each, for engines that agencies have: what the envelopes say, and apart
//! from that, only when asked for, what the records say.
//!
//! The second is in the clear: destroying a bucket's key does not reach it. It lies in a file of its own
//! for each body segment, so that it can be deleted with its bucket.

use std::sync::Arc;

use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType,
    Int32Type, Int64Type,
};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;

use crate::envelope::Envelope;
use crate::kinds::KINDS;
use crate::merkle::Hash;
use crate::record::StoredRecord;

/// Rows in a row group.
const GROUP_ROWS_MAX: usize = 1 << 16;

/// Columns of a range: `docs/formats/archive.md` says what each is.
const ENTRIES: &str = "message entries {
    required int64 entry;
    required int64 recorded_at (TIMESTAMP(MILLIS, true));
    required boolean clock_stepped_back;
    required binary kind (STRING);
    required binary severity (STRING);
    required binary schedule (STRING);
    required int32 expires_month;
    required fixed_len_byte_array(32) shared;
    required fixed_len_byte_array(32) private;
    required fixed_len_byte_array(32) leaf;
}";

const CONTENT: &str = "message content {
    required int64 entry;
    required int64 recorded_at (TIMESTAMP(MILLIS, true));
    required binary kind (STRING);
    required binary outcome (STRING);
    optional binary actor (STRING);
    optional binary name (STRING);
    optional binary agency (STRING);
    optional binary address (STRING);
    optional binary purpose (STRING);
    optional binary case_number (STRING);
    optional binary reason (STRING);
    optional binary tool (STRING);
    optional binary partner (STRING);
    required binary record (STRING);
}";

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;
/// Writes the columns of some rows.
type Columns<'a, R> = dyn FnMut(&mut Group<'_>, &[R]) -> Result<(), ParquetError> + 'a;

/// The envelopes' columns. `about` goes into the file as key and value.
pub(super) fn entries(
    envelopes: &[Envelope],
    about: &[(&str, String)],
) -> Result<Vec<u8>, ParquetError> {
    file(ENTRIES, about, envelopes, &mut |group, rows| {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        column::<Int64Type>(group, rows.iter().map(|it| number(it.entry)))?;
        column::<Int64Type>(group, rows.iter().map(|it| it.at_ms))?;
        column::<BoolType>(group, rows.iter().map(|it| it.stepped_back))?;
        column::<ByteArrayType>(group, rows.iter().map(|it| text(&kind_name(it.kind))))?;
        column::<ByteArrayType>(group, rows.iter().map(|it| text(severity(it.kind))))?;
        column::<ByteArrayType>(group, rows.iter().map(|it| text(it.bucket.class.as_str())))?;
        let month = |it: &Envelope| i32::try_from(it.bucket.month).unwrap_or(i32::MAX);
        column::<Int32Type>(group, rows.iter().map(month))?;
        column::<FixedLenByteArrayType>(group, rows.iter().map(|it| hash(&it.shared)))?;
        column::<FixedLenByteArrayType>(group, rows.iter().map(|it| hash(&it.private)))?;
        column::<FixedLenByteArrayType>(group, rows.iter().map(|it| hash(&it.leaf())))
    })
}

/// An entry with what it says.
pub(super) struct ContentRow {
    pub(super) entry: u64,
    pub(super) at_ms: i64,
    pub(super) record: StoredRecord,
    /// The record as JSON, as it was committed to.
    pub(super) json: String,
}

/// The records' columns.
pub(super) fn content(
    rows: &[ContentRow],
    about: &[(&str, String)],
) -> Result<Vec<u8>, ParquetError> {
    file(CONTENT, about, rows, &mut |group, rows| {
        let number = |it: &ContentRow| i64::try_from(it.entry).unwrap_or(i64::MAX);
        column::<Int64Type>(group, rows.iter().map(number))?;
        column::<Int64Type>(group, rows.iter().map(|it| it.at_ms))?;
        column::<ByteArrayType>(group, rows.iter().map(|it| text(it.record.event.kind())))?;
        let outcome = |it: &ContentRow| text(it.record.event.outcome().as_str());
        column::<ByteArrayType>(group, rows.iter().map(outcome))?;
        let who = |it: &'_ ContentRow| it.record.who.clone();
        maybe(group, rows, &|it| who(it).map(|who| who.actor))?;
        maybe(group, rows, &|it| who(it).map(|who| who.name))?;
        maybe(group, rows, &|it| who(it).map(|who| who.agency))?;
        maybe(group, rows, &|it| it.record.origin.address.clone())?;
        maybe(group, rows, &|it| it.record.why.purpose.clone())?;
        maybe(group, rows, &|it| it.record.why.case_number.clone())?;
        maybe(group, rows, &|it| it.record.why.reason.clone())?;
        maybe(group, rows, &|it| it.record.event.facts().tool.map(str::to_owned))?;
        maybe(group, rows, &|it| it.record.event.facts().partner.map(str::to_owned))?;
        column::<ByteArrayType>(group, rows.iter().map(|it| text(&it.json)))
    })
}

fn file<R>(
    schema: &str,
    about: &[(&str, String)],
    rows: &[R],
    write: &mut Columns<'_, R>,
) -> Result<Vec<u8>, ParquetError> {
    let about =
        about.iter().map(|(key, value)| KeyValue::new(format!("bailiwick.{key}"), value.clone()));
    let properties = WriterProperties::builder()
        .set_created_by("bailiwick".to_owned())
        .set_key_value_metadata(Some(about.collect()))
        .build();
    let schema = Arc::new(parse_message_type(schema)?);
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    for rows in rows.chunks(GROUP_ROWS_MAX) {
        let mut group = file.next_row_group()?;
        write(&mut group, rows)?;
        group.close()?;
    }
    file.into_inner()
}

fn column<T: DataType>(
    group: &mut Group<'_>,
    values: impl Iterator<Item = T::T>,
) -> Result<(), ParquetError> {
    let values: Vec<T::T> = values.collect();
    write_column::<T>(group, &values, None)
}

fn maybe(
    group: &mut Group<'_>,
    rows: &[ContentRow],
    value: &dyn Fn(&ContentRow) -> Option<String>,
) -> Result<(), ParquetError> {
    let values: Vec<Option<String>> = rows.iter().map(value).collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<ByteArray> = values.iter().flatten().map(|value| text(value)).collect();
    write_column::<ByteArrayType>(group, &values, Some(&levels))
}

fn write_column<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("there are more columns than in the schema".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn text(text: &str) -> ByteArray {
    ByteArray::from(text)
}

fn hash(hash: &Hash) -> FixedLenByteArray {
    FixedLenByteArray::from(hash.to_vec())
}

/// The kind's name; a later version's kind by its code.
fn kind_name(code: u8) -> String {
    let kind = KINDS.iter().find(|kind| kind.code == code);
    kind.map_or_else(|| format!("kind-{code}"), |kind| kind.name.to_owned())
}

fn severity(code: u8) -> &'static str {
    let kind = KINDS.iter().find(|kind| kind.code == code);
    kind.map_or("info", |kind| kind.severity.as_str())
}
