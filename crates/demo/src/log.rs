//! The log of a played story, kept in memory so that it can be searched for what must not be in it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Everything that was logged, from `debug` on: more than an agency would keep.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes the log of this process from now on.
    pub(crate) fn taken() -> Self {
        let log = Self::default();
        let writer = log.clone();
        web::commands::log_to(move || writer.clone(), "debug");
        log
    }

    /// What was logged so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
