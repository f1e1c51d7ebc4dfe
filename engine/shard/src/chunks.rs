//! A vector that grows by chunks of fixed size: growth copies nothing, so that the peak is never twice the
//! content, and memory that was reserved but not yet written stays untouched.

/// Elements per chunk. So many that a chunk of connections or sessions is a whole number of pages: what the allocator
/// rounds it up by stays untouched.
const CHUNK: usize = 512;

/// The elements, by index.
#[derive(Debug)]
pub(crate) struct Chunks<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Chunks<T> {
    /// Nothing, without memory of its own.
    pub(crate) const fn new() -> Self {
        Chunks { chunks: Vec::new() }
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Appends an element; its index is the length before.
    pub(crate) fn push(&mut self, element: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(element),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(element);
                self.chunks.push(chunk);
            }
        }
    }

    /// The element at `index`, if there is one.
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// The element at `index`, if there is one.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    /// All elements in the order of their index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// All elements in the order of their index.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }
}
