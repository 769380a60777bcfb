//! Float buffers between guard pages, for tests: a kernel that reads or writes past its operand faults, even in assembly, which
//! sanitizers cannot check.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// The end of a buffer that is adjacent to a guard page; the other is less than a page away from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Start,
    End,
}

/// The value of the padding at the other end, and how much of it is checked.
const PADDING: f32 = -98765.0;
const PADDING_LEN: usize = 16;

/// A slice of floats whose end, by default, is adjacent to a guard page.
pub(crate) struct Floats {
    pages: system::Pages,
    /// The index of the first float in the pages.
    first: usize,
    len: usize,
    side: Side,
}

impl Floats {
    pub fn filled(value: f32, len: usize) -> Self {
        let mut floats = Self::placed(Side::End, len);
        floats.fill(value);
        floats
    }

    /// A copy of floats with this side adjacent to a guard page.
    pub fn copy(from: &[f32], side: Side) -> Self {
        let mut floats = Self::placed(side, from.len());
        floats.copy_from_slice(from);
        floats
    }

    fn placed(side: Side, len: usize) -> Self {
        let mut pages = system::Pages::new(len + PADDING_LEN);
        let all = pages.floats().len();
        let first = if side == Side::Start { 0 } else { all - len };
        let mut floats = Self { pages, first, len, side };
        floats.padding().fill(PADDING);
        floats
    }

    fn padding(&mut self) -> &mut [f32] {
        let first = if self.side == Side::Start { self.len } else { self.first - PADDING_LEN };
        &mut self.pages.floats()[first..first + PADDING_LEN]
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        let untouched = self.padding().iter().all(|value| *value == PADDING);
        assert!(untouched || std::thread::panicking(), "the padding of {} floats was written", self.len);
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.pages.as_floats()[self.first..self.first + self.len]
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.pages.floats()[self.first..self.first + self.len]
    }
}

impl Clone for Floats {
    fn clone(&self) -> Self {
        Self::copy(self, self.side)
    }
}

impl From<Vec<f32>> for Floats {
    fn from(floats: Vec<f32>) -> Self {
        Self::copy(&floats, Side::End)
    }
}

impl FromIterator<f32> for Floats {
    fn from_iter<I: IntoIterator<Item = f32>>(floats: I) -> Self {
        Vec::from_iter(floats).into()
    }
}

impl IntoIterator for Floats {
    type Item = f32;
    type IntoIter = std::vec::IntoIter<f32>;

    fn into_iter(self) -> Self::IntoIter {
        Vec::from(&self[..]).into_iter()
    }
}

impl<'a> IntoIterator for &'a Floats {
    type Item = &'a f32;
    type IntoIter = std::slice::Iter<'a, f32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Deref<Target = [f32]>> PartialEq<T> for Floats {
    fn eq(&self, other: &T) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Floats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
    use std::num::NonZeroUsize;
    use std::ptr::NonNull;

    /// A multiple of the page size of every machine.
    const PAGE: usize = 64 << 10;

    /// Pages of floats between two guard pages.
    pub struct Pages {
        start: NonNull<f32>,
        len: usize,
    }

    // SAFETY: it owns its memory.
    unsafe impl Send for Pages {}
    // SAFETY: it is written only where it is borrowed as mutable.
    unsafe impl Sync for Pages {}

    impl Pages {
        /// At least `len` floats, all 0.
        pub fn new(len: usize) -> Self {
            let bytes = (len * size_of::<f32>()).next_multiple_of(PAGE);
            let all = NonZeroUsize::new(bytes + 2 * PAGE).expect("two pages");
            // SAFETY: new memory, of which only the part between the outer pages is made accessible.
            unsafe {
                let outer = mmap_anonymous(None, all, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE).expect("memory");
                let start = outer.byte_add(PAGE);
                mprotect(start, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE).expect("pages");
                Self { start: start.cast(), len: bytes / size_of::<f32>() }
            }
        }

        pub fn as_floats(&self) -> &[f32] {
            // SAFETY: the pages are mapped and contain floats from the start.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }

        pub fn floats(&mut self) -> &mut [f32] {
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: mapped by `new` with this size, and no longer borrowed.
            let unmapped = unsafe { munmap(self.start.byte_sub(PAGE).cast(), self.len * size_of::<f32>() + 2 * PAGE) };
            assert!(unmapped.is_ok() || std::thread::panicking(), "memory that was mapped");
        }
    }
}

/// On other systems there are no guard pages; only the padding is checked.
#[cfg(not(target_os = "linux"))]
mod system {
    pub struct Pages(Vec<f32>);

    impl Pages {
        pub fn new(len: usize) -> Self {
            Self(vec![0.0; len])
        }

        pub fn as_floats(&self) -> &[f32] {
            &self.0
        }

        pub fn floats(&mut self) -> &mut [f32] {
            &mut self.0
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Whether this process may read and write a float, by the system's list of mappings.
    fn is_accessible(float: *const f32) -> bool {
        let pages = std::fs::read_to_string("/proc/self/maps").expect("a list of pages");
        let contains = |line: &&str| {
            let (range, _) = line.split_once(' ').expect("a range and more");
            let (start, end) = range.split_once('-').expect("a start and an end");
            let address = |text| usize::from_str_radix(text, 16).expect("an address");
            (address(start)..address(end)).contains(&float.addr())
        };
        pages.lines().find(contains).is_some_and(|line| line.contains(" rw"))
    }

    #[test]
    fn pages_at_the_ends_fault() {
        for len in [1, 7, 16384, 70_000] {
            let [start, end] = [Side::Start, Side::End].map(|side| Floats::copy(&vec![1.0; len], side));
            let (first, after) = (start.as_ptr(), end.as_ptr_range().end);
            let addresses = [first.wrapping_sub(1), first, after.wrapping_sub(1), after];
            assert_eq!(addresses.map(is_accessible), [false, true, true, false], "{len} floats");
        }
    }

    #[test]
    #[should_panic(expected = "was written")]
    fn writing_to_the_padding_is_detected() {
        let mut floats = Floats::copy(&[1.0; 7], Side::Start);
        floats.pages.floats()[7] = 1.0;
    }
}
