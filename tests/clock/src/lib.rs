//! The time of day, as much later or earlier as a file says, for a process that preloads this library (`LD_PRELOAD`).
//!
//! The file is named by `HOLDFAST_CLOCK`, and holds a number of seconds in eight octets of this machine's order. Clocks that
//! only measure how long something takes go on as they do when somebody sets the time.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

/// `struct timespec` of 64-bit Linux.
#[repr(C)]
pub struct Time {
    seconds: i64,
    nanoseconds: c_long,
}

type Read = unsafe extern "C" fn(c_int, *mut Time) -> c_int;

const REALTIME: c_int = 0;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The C library's own function of this name.
fn machine() -> Option<Read> {
    static MACHINE: OnceLock<Option<Read>> = OnceLock::new();
    *MACHINE.get_or_init(|| {
        // RTLD_NEXT
        let next = std::ptr::without_provenance_mut(usize::MAX);
        // SAFETY: the name ends with a zero, and what bears it is a function of this type (POSIX).
        unsafe {
            let found = dlsym(next, c"clock_gettime".as_ptr());
            std::mem::transmute::<*mut c_void, Option<Read>>(found)
        }
    })
}

fn offset() -> i64 {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let file = FILE.get_or_init(|| File::open(std::env::var_os("HOLDFAST_CLOCK")?).ok());
    let mut seconds = [0; 8];
    let read = file.as_ref().map(|file| file.read_exact_at(&mut seconds, 0));
    if matches!(read, Some(Ok(()))) { i64::from_ne_bytes(seconds) } else { 0 }
}

/// # Safety
/// As that of the C library: `time` is null or points to a `timespec` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Time) -> c_int {
    let Some(read) = machine() else { return -1 };
    // SAFETY: what the caller promises is what the C library asks for.
    let status = unsafe { read(clock, time) };
    if status == 0 && clock == REALTIME {
        // SAFETY: the C library has just written to it.
        unsafe { (*time).seconds += offset() };
    }
    status
}
