//! A value that is replaced while it is used.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The value that holds. Clones share it; the lock is only ever taken on the control thread, and never for long.
#[derive(Debug)]
pub(super) struct Current<T>(Arc<Mutex<Arc<T>>>);

impl<T> Current<T> {
    pub(super) fn new(value: T) -> Current<T> {
        Current(Arc::new(Mutex::new(Arc::new(value))))
    }

    /// What holds now.
    pub(super) fn get(&self) -> Arc<T> {
        self.lock().clone()
    }

    /// From now on `value` holds.
    pub(super) fn set(&self, value: T) {
        *self.lock() = Arc::new(value);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Current<T> {
        Current(Arc::clone(&self.0))
    }
}
