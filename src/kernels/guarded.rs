//! Floats for tests between pages that nobody may touch: a kernel that reads or writes beyond its operand errors, in
//! assembly too, which sanitizers do not see.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Which end touches a page: the other is less than a page away from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Start,
    End,
}

/// What stands between the floats and the page that they do not touch, as far as it is looked at.
const BESIDE: f32 = -98765.0;
const LOOKED_AT: usize = 16;

/// A slice of floats whose end, unless it is asked for its start, touches a page that nobody may touch.
pub(crate) struct Floats {
    pages: system::Pages,
    /// The first float's place in the pages.
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

    /// A copy of floats that touches a page with a side of its own.
    pub fn copy(from: &[f32], side: Side) -> Self {
        let mut floats = Self::placed(side, from.len());
        floats.copy_from_slice(from);
        floats
    }

    fn placed(side: Side, len: usize) -> Self {
        let mut pages = system::Pages::new(len + LOOKED_AT);
        let all = pages.floats().len();
        let first = if side == Side::Start { 0 } else { all - len };
        let mut floats = Self { pages, first, len, side };
        floats.beside().fill(BESIDE);
        floats
    }

    fn beside(&mut self) -> &mut [f32] {
        let first = if self.side == Side::Start { self.len } else { self.first - LOOKED_AT };
        &mut self.pages.floats()[first..first + LOOKED_AT]
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        let untouched = self.beside().iter().all(|value| *value == BESIDE);
        assert!(untouched || std::thread::panicking(), "beside {} floats was written", self.len);
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

    /// A multiple of every machine's page.
    const PAGE: usize = 64 << 10;

    /// Pages of floats between two that nobody may touch.
    pub struct Pages {
        start: NonNull<f32>,
        len: usize,
    }

    // SAFETY: it owns its memory.
    unsafe impl Send for Pages {}
    // SAFETY: it is written only where it is borrowed as mutable.
    unsafe impl Sync for Pages {}

    impl Pages {
        /// At least so many floats, all 0.
        pub fn new(len: usize) -> Self {
            let bytes = (len * size_of::<f32>()).next_multiple_of(PAGE);
            let all = NonZeroUsize::new(bytes + 2 * PAGE).expect("two pages");
            // SAFETY: new memory, of which only what lies between the outer pages is made accessible.
            unsafe {
                let outer = mmap_anonymous(None, all, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE).expect("memory");
                let start = outer.byte_add(PAGE);
                mprotect(start, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE).expect("pages");
                Self { start: start.cast(), len: bytes / size_of::<f32>() }
            }
        }

        pub fn as_floats(&self) -> &[f32] {
            // SAFETY: the pages are there, and hold floats from the first.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }

        pub fn floats(&mut self) -> &mut [f32] {
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: made by `new` of these sizes, and nobody borrows it any more.
            let unmapped = unsafe { munmap(self.start.byte_sub(PAGE).cast(), self.len * size_of::<f32>() + 2 * PAGE) };
            assert!(unmapped.is_ok() || std::thread::panicking(), "memory that was mapped");
        }
    }
}

/// Where the system's calls are not known here, only what stands beside the floats is looked at.
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

    /// Whether the system lets this process read and write a float, by its own list of pages.
    fn is_accessible(float: *const f32) -> bool {
        let pages = std::fs::read_to_string("/proc/self/maps").expect("a list of pages");
        let holds = |line: &&str| {
            let (range, _) = line.split_once(' ').expect("a range and more");
            let (start, end) = range.split_once('-').expect("a start and an end");
            let address = |text| usize::from_str_radix(text, 16).expect("an address");
            (address(start)..address(end)).contains(&float.addr())
        };
        pages.lines().find(holds).is_some_and(|line| line.contains(" rw"))
    }

    #[test]
    fn pages_at_the_ends_fault() {
        for len in [1, 7, 16384, 70_000] {
            let [start, end] = [Side::Start, Side::End].map(|side| Floats::copy(&vec![1.0; len], side));
            let (first, behind) = (start.as_ptr(), end.as_ptr_range().end);
            let places = [first.wrapping_sub(1), first, behind.wrapping_sub(1), behind];
            assert_eq!(places.map(is_accessible), [false, true, true, false], "{len} floats");
        }
    }

    #[test]
    #[should_panic(expected = "was written")]
    fn writing_on_the_other_side_shows() {
        let mut floats = Floats::copy(&[1.0; 7], Side::Start);
        floats.pages.floats()[7] = 1.0;
    }
}
