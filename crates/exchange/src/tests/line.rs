//! A TCP line that a story can cut after so many bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

pub(super) struct Line {
    pub(super) port: u16,
    far: Arc<AtomicU16>,
    forth: Arc<Way>,
    back: Arc<Way>,
}

/// One way of the line: the bytes that it will carry yet, and those that it has.
struct Way {
    left: AtomicU64,
    carried: AtomicU64,
}

impl Way {
    fn new() -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(u64::MAX), carried: AtomicU64::new(0) })
    }
}

impl Line {
    /// A line to a port of this machine.
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            far: Arc::new(AtomicU16::new(port)),
            forth: Way::new(),
            back: Way::new(),
        };
        let (forth, back) = (Arc::clone(&line.forth), Arc::clone(&line.back));
        let far = Arc::clone(&line.far);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (forth, back) = (Arc::clone(&forth), Arc::clone(&back));
                let port = far.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    carry(near, far, &forth, &back).await;
                });
            }
        });
        line
    }

    /// From now on the line leads to that port.
    pub(super) fn aim(&self, port: u16) {
        self.far.store(port, Ordering::SeqCst);
    }

    /// Carries so many more bytes to the far end, and then breaks every connection.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.forth.left.store(bytes, Ordering::SeqCst);
    }

    /// The same of what comes back: answers to what has arrived.
    pub(super) fn cut_answers_after(&self, bytes: u64) {
        self.back.left.store(bytes, Ordering::SeqCst);
    }

    pub(super) fn mend(&self) {
        for way in [&self.forth, &self.back] {
            way.left.store(u64::MAX, Ordering::SeqCst);
        }
    }

    /// Bytes carried to the far end so far.
    pub(super) fn carried(&self) -> u64 {
        self.forth.carried.load(Ordering::SeqCst)
    }

    /// Bytes that came back so far.
    pub(super) fn answered(&self) -> u64 {
        self.back.carried.load(Ordering::SeqCst)
    }
}

async fn carry(near: TcpStream, far: TcpStream, forth: &Way, back: &Way) {
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = carry_one_way(near_in, far_out, forth) => {},
        () = carry_one_way(far_in, near_out, back) => {},
    }
}

async fn carry_one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: &Way) {
    let mut piece = vec![0; 4096];
    loop {
        let read = from.read(&mut piece).await.unwrap_or(0);
        let count = read as u64;
        let take = |left: u64| left.checked_sub(count);
        if count == 0
            || way.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err()
            || to.write_all(&piece[..read]).await.is_err()
        {
            return;
        }
        way.carried.fetch_add(count, Ordering::SeqCst);
    }
}
