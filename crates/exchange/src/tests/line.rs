//! A TCP line that a story can cut after so many bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) struct Line {
    pub(super) port: u16,
    left: Arc<AtomicU64>,
    carried: Arc<AtomicU64>,
}

impl Line {
    /// A line to a port of this machine.
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            left: Arc::new(AtomicU64::new(u64::MAX)),
            carried: Arc::new(AtomicU64::new(0)),
        };
        let (left, carried) = (Arc::clone(&line.left), Arc::clone(&line.carried));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (left, carried) = (Arc::clone(&left), Arc::clone(&carried));
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    carry(near, far, &left, &carried).await;
                });
            }
        });
        line
    }

    /// Carries so many more bytes to the far end, and then breaks every connection.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    pub(super) fn mend(&self) {
        self.left.store(u64::MAX, Ordering::SeqCst);
    }

    /// Bytes carried to the far end so far.
    pub(super) fn carried(&self) -> u64 {
        self.carried.load(Ordering::SeqCst)
    }
}

async fn carry(near: TcpStream, far: TcpStream, left: &AtomicU64, carried: &AtomicU64) {
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let forth = async {
        let mut piece = vec![0; 4096];
        loop {
            let read = near_in.read(&mut piece).await.unwrap_or(0);
            let count = read as u64;
            let take = |left: u64| left.checked_sub(count);
            if count == 0
                || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err()
                || far_out.write_all(&piece[..read]).await.is_err()
            {
                return;
            }
            carried.fetch_add(count, Ordering::SeqCst);
        }
    };
    let back = async {
        tokio::io::copy(&mut far_in, &mut near_out).await.ok();
    };
    tokio::select! { () = forth => {}, () = back => {} }
}
