//! How many indices are written to at a time
//!
//! Each has threads and a heap of its own, so an index that has its turn gives it up to another that waits.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

#[derive(Debug)]
pub struct Seats {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Those who wait, in the order in which they came.
    waiting: VecDeque<u64>,
    next: u64,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Seats {
    pub fn new(number: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                free: number,
                waiting: VecDeque::new(),
                next: 0,
            }),
            freed: Condvar::new(),
        })
    }

    /// Waits for a turn.
    pub fn take(self: &Arc<Self>) -> Seat {
        let mut state = self.state.lock();
        let mine = state.next;
        state.next += 1;
        state.waiting.push_back(mine);
        while state.free == 0 || state.waiting.front() != Some(&mine) {
            self.freed.wait(&mut state);
        }
        state.waiting.pop_front();
        state.free -= 1;
        // Another may be next, and free places left.
        self.freed.notify_all();
        Seat(self.clone())
    }

    pub fn is_wanted(&self) -> bool {
        !self.state.lock().waiting.is_empty()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.state.lock().free += 1;
        self.0.freed.notify_all();
    }
}
