//! Values on their way to PostgreSQL, as text: the database gives them the type of what they are
//! compared with, or the one that the statement casts them to.

use std::error::Error;
use std::fmt;

use bytes::{BufMut as _, BytesMut};
use gate::Value;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

/// One value.
pub(super) struct Bound<'a>(pub(super) &'a Value);

/// Shows what kind of value it is and nothing of it.
impl fmt::Debug for Bound<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if *self.0 == Value::Null {
            return Ok(IsNull::Yes);
        }
        out.put_slice(self.0.to_string().as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
