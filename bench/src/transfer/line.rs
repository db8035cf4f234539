//! A line between the two agencies that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use anyhow::Context;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PIECE_BYTES: usize = 256 << 10;

/// Leads to whatever port it is aimed at.
pub(crate) struct Line {
    pub(crate) port: u16,
    far: Arc<AtomicU16>,
    carried: Arc<AtomicU64>,
    /// How often it was cut: each cut ends every connection.
    cuts: watch::Sender<u32>,
}

impl Line {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the line")?;
        let line = Self {
            port: listener.local_addr()?.port(),
            far: Arc::default(),
            carried: Arc::default(),
            cuts: watch::Sender::new(0),
        };
        let (far, carried, cuts) =
            (Arc::clone(&line.far), Arc::clone(&line.carried), line.cuts.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (carried, mut cuts) = (Arc::clone(&carried), cuts.clone());
                cuts.mark_unchanged();
                let port = far.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = cuts.changed() => {}
                        () = carry(near, far, &carried) => {}
                    }
                });
            }
        });
        Ok(line)
    }

    pub(crate) fn aim(&self, port: u16) {
        self.far.store(port, Ordering::SeqCst);
    }

    /// Ends every connection, whatever is under way.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Bytes that reached the receiver's end.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::SeqCst)
    }
}

async fn carry(near: TcpStream, far: TcpStream, carried: &AtomicU64) {
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let answers = AtomicU64::new(0);
    tokio::select! {
        () = one_way(near_in, far_out, carried) => {}
        () = one_way(far_in, near_out, &answers) => {}
    }
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: &AtomicU64) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let Some(bytes) = piece.get(..read) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
        count.fetch_add(read as u64, Ordering::SeqCst);
    }
}
