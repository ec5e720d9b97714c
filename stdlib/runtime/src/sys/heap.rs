//! The heap of the static binary: free lists by powers of two over memory mapped in pieces, and
//! a mapping of its own for each large block.
//!
//! The runtime has one thread, so there is no lock. Blocks of a size go back to the list of that
//! size; a supervisor that runs for months therefore needs no more than it once needed.

use super::arch::{number, syscall};
use super::check;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::null_mut;

/// Smallest block, 16 bytes, and the number of doublings up to the largest listed one, 64 KiB.
const SMALLEST_SHIFT: u32 = 4;
const CLASSES: usize = 13;
/// How much is asked from the kernel at once, in bytes.
const PIECE: usize = 256 * 1024;
const PAGE: usize = 4096;

struct Lists {
    free: [*mut u8; CLASSES],
    next: usize,
    end: usize,
}

struct Heap(UnsafeCell<Lists>);

// SAFETY: the runtime never starts a second thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Lists { free: [null_mut(); CLASSES], next: 0, end: 0 }));

/// The list that serves a layout; `None` for what gets its own mapping.
fn class(layout: &Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST_SHIFT);
    let class = (size.next_power_of_two().trailing_zeros() - SMALLEST_SHIFT) as usize;
    (class < CLASSES).then_some(class)
}

fn map(size: usize) -> Option<usize> {
    const READ_WRITE: usize = 3;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    // SAFETY: new memory at an address that the kernel chooses.
    check(unsafe { syscall(number::MMAP, [0, size, READ_WRITE, PRIVATE_ANONYMOUS, usize::MAX, 0]) }).ok()
}

fn whole_pages(size: usize) -> Option<usize> {
    Some(size.checked_add(PAGE - 1)? & !(PAGE - 1))
}

// SAFETY: blocks are at least as large as asked and aligned: a listed block is a power of two
// not smaller than the alignment, cut from a page-aligned piece at a multiple of its size; a
// mapping is page-aligned, and larger alignments are refused.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(&layout) else {
            if layout.align() > PAGE {
                return null_mut();
            }
            return whole_pages(layout.size()).and_then(map).map_or(null_mut(), |at| at as *mut u8);
        };
        let size = 1usize << (class as u32 + SMALLEST_SHIFT);
        // SAFETY: one thread, and no reference into the lists is kept beyond this function.
        let lists = unsafe { &mut *self.0.get() };
        let head = lists.free[class];
        if !head.is_null() {
            // SAFETY: a listed block holds the address of the next one in its first word.
            lists.free[class] = unsafe { *head.cast::<*mut u8>() };
            return head;
        }
        let mut at = (lists.next + size - 1) & !(size - 1);
        if at + size > lists.end || lists.next == 0 {
            let Some(piece) = map(PIECE) else {
                return null_mut();
            };
            lists.end = piece + PIECE;
            at = (piece + size - 1) & !(size - 1);
        }
        lists.next = at + size;
        at as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(&layout) {
            Some(class) => {
                // SAFETY: one thread; the block is ours again and at least one word large.
                unsafe {
                    let lists = &mut *self.0.get();
                    *block.cast::<*mut u8>() = lists.free[class];
                    lists.free[class] = block;
                }
            }
            None => {
                let size = whole_pages(layout.size()).unwrap_or(layout.size());
                // SAFETY: this mapping was made for this block alone.
                unsafe { syscall(number::MUNMAP, [block as usize, size, 0, 0, 0, 0]) };
            }
        }
    }
}
