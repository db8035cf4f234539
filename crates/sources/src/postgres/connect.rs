//! Opens a connection: TCP to a declared address, TLS to the declared name, then a look at the role.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gate::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Client, Config};
use wire::tls::ClientTls;
use wire::{Egress, Secure, WireError};

use super::bind::Bound;
use super::{Session, fault};
use crate::error::Fault;

/// Prepared statements that a connection remembers.
const STATEMENTS_MAX: usize = 64;
/// The longest password file, in bytes.
const PASSWORD_BYTES_MAX: usize = 4096;

/// Where the database is, and as whom to go there.
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password_file: PathBuf,
    pub(super) tls: ClientTls,
    pub(super) egress: Egress,
}

/// One connection and the statements that it has prepared.
pub(super) struct Link {
    pub(super) client: Client,
    prepared: HashMap<String, tokio_postgres::Statement>,
}

impl Address {
    /// The first line of the password's file.
    pub(super) fn password(&self) -> Result<String, Fault> {
        let failed = |source| Fault::File {
            doing: "read password file",
            path: self.password_file.clone(),
            source,
        };
        let text = std::fs::read_to_string(&self.password_file).map_err(failed)?;
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() || text.len() > PASSWORD_BYTES_MAX {
            return Err(failed(io::Error::other("it holds no password on its first line")));
        }
        Ok(line.to_owned())
    }

    pub(super) async fn connect(&self, wait_max: Duration) -> Result<Link, Fault> {
        let mut config = Config::new();
        config
            .user(&self.user)
            .password(self.password()?)
            .dbname(&self.database)
            .application_name("bailiwick")
            .options("-c default_transaction_read_only=on -c standard_conforming_strings=on")
            .ssl_mode(SslMode::Require);
        let (stream, tls) = self.reach(wait_max).await?;
        let (client, connection) =
            config.connect_raw(stream, tls).await.map_err(|error| refused(error, wait_max))?;
        tokio::spawn(async move {
            if connection.await.is_err() {
                tracing::debug!("a database connection ended");
            }
        });
        let link = Link { client, prepared: HashMap::new() };
        link.check_role(wait_max).await?;
        Ok(link)
    }

    /// Has the server stop the statement that runs on a connection.
    pub(super) async fn cancel(&self, token: CancelToken, wait_max: Duration) -> Result<(), Fault> {
        let (stream, tls) = self.reach(wait_max).await?;
        let asked = tokio::time::timeout(wait_max, token.cancel_query_raw(stream, tls)).await;
        match asked {
            Ok(asked) => asked.map_err(|error| refused(error, wait_max)),
            Err(_) => Err(Fault::TimedOut { after: wait_max }),
        }
    }

    async fn reach(&self, wait_max: Duration) -> Result<(TcpStream, Handshake), Fault> {
        let stream = self.egress.connect(&self.host, self.port, wait_max).await;
        let stream = stream.map_err(|source| Fault::Connect { source: Box::new(source) })?;
        Ok((stream, Handshake { host: self.host.clone(), tls: self.tls.clone(), wait_max }))
    }
}

/// A handshake that failed says why; a refusal of the server goes the usual way.
fn refused(error: tokio_postgres::Error, wait_max: Duration) -> Fault {
    if error.as_db_error().is_some() {
        return fault(&error, wait_max);
    }
    Fault::Connect { source: Box::new(error) }
}

impl Link {
    async fn check_role(&self, wait_max: Duration) -> Result<(), Fault> {
        let sql = "select coalesce(bool_or(rolsuper), true) from pg_catalog.pg_roles \
                   where rolname = current_user";
        let row = self.client.query_one(sql, &[]).await.map_err(|error| fault(&error, wait_max))?;
        match row.try_get(0) {
            Ok(false) => Ok(()),
            Ok(true) | Err(_) => Err(Fault::Superuser),
        }
    }

    pub(super) async fn prepare(
        &mut self,
        sql: &str,
        wait_max: Duration,
    ) -> Result<tokio_postgres::Statement, Fault> {
        if let Some(known) = self.prepared.get(sql) {
            return Ok(known.clone());
        }
        let prepared = self.client.prepare(sql).await.map_err(|error| fault(&error, wait_max))?;
        if self.prepared.len() >= STATEMENTS_MAX {
            self.prepared.clear();
        }
        self.prepared.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Begins a transaction with its time-out and the person who asks, all of it for this
    /// transaction only.
    pub(super) async fn begin(
        &mut self,
        begin: &str,
        session: &Session,
        left: Duration,
    ) -> Result<(), Fault> {
        let failed = |error: tokio_postgres::Error| fault(&error, left);
        let sql = "select set_config('statement_timeout', $1, true), \
                   set_config('bailiwick.actor', $2, true), \
                   set_config('bailiwick.agency', $3, true), \
                   set_config('bailiwick.purpose', $4, true)";
        let set = self.prepare(sql, left).await?;
        self.client.batch_execute(begin).await.map_err(failed)?;
        // Zero would mean for ever.
        let milliseconds = left.as_millis().max(1).to_string();
        let texts = [&milliseconds, &session.actor, &session.agency, &session.purpose];
        let values: Vec<Value> = texts.into_iter().map(|text| Value::Text(text.clone())).collect();
        self.client.execute_raw(&set, values.iter().map(Bound)).await.map_err(failed)?;
        Ok(())
    }
}

/// PostgreSQL asks for TLS inside its own protocol; `wire` does it.
struct Handshake {
    host: String,
    tls: ClientTls,
    wait_max: Duration,
}

impl TlsConnect<TcpStream> for Handshake {
    type Stream = Channel;
    type Error = WireError;
    type Future = Pin<Box<dyn Future<Output = Result<Channel, WireError>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            wire::handshake(&self.host, stream, &self.tls, self.wait_max).await.map(Channel)
        })
    }
}

/// The stream inside TLS.
struct Channel(Secure<TcpStream>);

impl TlsStream for Channel {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
