//! Counts allocations: tests guard with it that hot paths allocate nothing per message.
//!
//! For tests only. The one place of the workspace with `unsafe`: an allocator cannot be written without.
//!
//! ```
//! use allocation_count::{CountingAllocator, allocations_of};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1);
//! ```
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count of what each thread asks of it: name it as the `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

thread_local! {
    // Const and without a destructor: touching it neither allocates nor registers anything.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// How often `work` asks for memory on this thread: allocations, and reallocations, which are how buffers grow.
///
/// Always 0 where [`CountingAllocator`] is not the global allocator, so test once that it sees one.
pub fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

// SAFETY: every call goes unchanged to `System`, which keeps the contract of `GlobalAlloc`. The count beside it is a
// thread-local cell that needs neither initialisation nor a destructor: it does not allocate, and it does not touch the
// memory.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract for `layout`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: `pointer` came from `System` with this `layout`, and the caller keeps the contract for `bytes`.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}
