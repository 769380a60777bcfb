//! The primitives that [`worker_pool`](super::worker_pool) is made of. `tests/pool_model.rs` compiles it with a model checker's instead,
//! so they have the form of those.

pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub use std::sync::{Arc, Mutex};
pub use std::thread::{self, JoinHandle};

/// Looks at what is awaited before a thread gives up its core: tens of microseconds.
pub const SPINS: usize = 3000;

/// A cell whose accesses a model checker can tell from each other.
#[derive(Debug)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Reads by the address, which is valid during the call.
    #[inline(always)]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Writes by the address, which is valid during the call.
    #[inline(always)]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
