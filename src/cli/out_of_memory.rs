//! Failed allocations end the program with an error and exit code 1.
//!
//! On a failed infallible allocation the standard library aborts, without a stable hook. So the global allocator records the
//! size of the last refused request, and a handler of SIGABRT reports it. Neither allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the last request that the system refused; 0 if there was none.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// Memory that a backtrace needs, symbols included. Out of memory while it prints one, the standard library deadlocks.
#[cfg(unix)]
const BACKTRACE_BYTES: usize = 256 << 20;

/// If a mapping of this size is refused, memory is exhausted.
#[cfg(unix)]
const PROBE_BYTES: usize = 1 << 20;

/// The system's allocator, which records refused requests.
#[derive(Debug)]
pub struct Allocator;

/// Records a refused request.
fn recorded(memory: *mut u8, bytes: usize) -> *mut u8 {
    if memory.is_null() {
        REFUSED.store(bytes, Ordering::Relaxed);
    }
    memory
}

// SAFETY: every request is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's promise.
        recorded(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's promise.
        recorded(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller's promise.
        recorded(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Heaps of the C library in a server. It would make one for each thread; buffers that one thread allocates and another one frees
/// then leave gaps in all of them, and a server grows to several times what it uses.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SERVER_HEAPS: i32 = 2;

/// Bounds the heaps of the C library for a program that runs long; before it starts threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn bound_heaps() {
    // SAFETY: it sets a number of the allocator, under its own lock.
    let is_set = unsafe { libc::mallopt(libc::M_ARENA_MAX, SERVER_HEAPS) };
    // Without it, the server needs more memory.
    let _ = is_set;
}

/// Other C libraries have one heap, or return what is free.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn bound_heaps() {}

/// Installs the handler of SIGABRT, and a panic hook that prints a backtrace only if there is memory for it.
#[cfg(unix)]
pub fn install() {
    // SAFETY: `report` neither allocates nor locks: it formats into its own frame, and calls mmap, fcntl,
    // write and _exit.
    let registered = unsafe { signal_hook::low_level::register(signal_hook::consts::SIGABRT, report) };
    // Without the handler, an abort stays an abort.
    let _ = registered;
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let before = REFUSED.load(Ordering::Relaxed);
        let room = Vec::<u8>::new().try_reserve_exact(BACKTRACE_BYTES);
        REFUSED.store(before, Ordering::Relaxed);
        if room.is_ok() {
            default_hook(panic);
        } else {
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{panic}\n"));
        }
    }));
}

/// Other systems abort.
#[cfg(not(unix))]
pub fn install() {}

/// Ends the program if the abort follows a refused request; returns to the abort otherwise.
#[cfg(unix)]
fn report() {
    use std::io::Write;
    use std::os::fd::AsFd;
    let bytes = REFUSED.load(Ordering::Relaxed);
    // The C library's own requests are not recorded: it aborts if there is no memory for thread-local data.
    if bytes == 0 && memmap2::MmapMut::map_anon(PROBE_BYTES).is_ok() {
        return;
    }
    let mut line = std::io::Cursor::new([0; 256]);
    let _ = write!(line, "error[{}]: out of memory: the system refuses ", crate::diagnostics::Code::Memory);
    let _ = if bytes > 0 { write!(line, "{bytes} bytes") } else { write!(line, "more") };
    let _ = writeln!(line, "\n = help: a smaller `--batch` and fewer `--threads` need less\n");
    let length = line.position() as usize;
    // Through a descriptor of its own, for the lock of `stderr` may be held.
    if let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() {
        let _ = std::fs::File::from(stderr).write_all(&line.get_ref()[..length]);
    }
    signal_hook::low_level::exit(i32::from(super::result::EXIT_ERROR));
}
