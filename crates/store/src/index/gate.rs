//! Bytes on their way: whoever brings more than there is room for waits

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// How many bytes may be under way.
#[derive(Debug)]
pub struct Gate {
    room: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

/// Bytes that were let in, until it is dropped.
#[derive(Debug)]
pub struct Hold {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Gate {
    pub fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            room,
            taken: Mutex::new(0),
            freed: Condvar::new(),
        })
    }

    /// Waits until there is room. What is larger than all of it is let in alone.
    pub fn enter(self: &Arc<Self>, bytes: usize) -> Hold {
        let mut taken = self.taken.lock();
        while *taken > 0 && *taken + bytes > self.room {
            self.freed.wait(&mut taken);
        }
        *taken += bytes;
        Hold {
            gate: self.clone(),
            bytes,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.gate.taken.lock() -= self.bytes;
        self.gate.freed.notify_all();
    }
}
