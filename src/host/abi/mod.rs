//! The host calls that this filter uses, each returning what the host said, and its callbacks (`callbacks`).
//!
//! The SDK's wrappers panic on a status that they do not expect, and a panic takes the worker's VM with it; they also offer
//! headers as text, which one octet outside UTF-8 turns into a panic. So everything is declared here, once, as proxy-wasm ABI
//! 0.2.1 has it.
//!
//! What a call costs inside Envoy 1.40, in a loop (in a request up to twice that): 45 to 185 ns, and 525 to 700 ns where it
//! returns a buffer, most of them for the host to ask us for the place. A request whose token is known makes two of those (its
//! fields, the digest of its certificate), asks for the time, adds one to a counter, and sets seven facts for logs and later
//! filters. Those seven are a sixth to a third of what
//! the filter then costs (`make bench ONLY=known,known-untold`).
#![allow(unsafe_code)]

mod callbacks;

use crate::facts::write_pairs;
use crate::time::UnixTime;

/// The host did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub u32);

#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
    Critical = 5,
}

#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    CallResponseHeaders = 6,
}

#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Buffer {
    CallResponseBody = 4,
    PluginConfiguration = 7,
}

#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Metric {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, size: usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_get_shared_data(
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        number: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(name: *const u8, name_size: usize, value: *const u8, size: usize, number: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        argument: *const u8,
        argument_size: usize,
        result: *mut *mut u8,
        result_size: *mut usize,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(octets: *mut u8, size: usize) -> u32;
}

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;
const REQUEST: u32 = 0;

fn done(status: u32) -> Result<(), Refused> {
    if status == OK { Ok(()) } else { Err(Refused(status)) }
}

/// Calls what returns a buffer, and takes the buffer over.
fn taking(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, Refused> {
    let mut data = core::ptr::null_mut();
    let mut size = 0;
    match call(&raw mut data, &raw mut size) {
        OK if data.is_null() => Ok(None),
        // SAFETY: on success the host has filled `size` octets that it got from `proxy_on_memory_allocate`, which
        // makes them a boxed slice of just that size; nobody else keeps the pointer.
        OK => Ok(Some(unsafe { Vec::from_raw_parts(data, size, size) })),
        NOT_FOUND => Ok(None),
        status => Err(Refused(status)),
    }
}

/// Every call below passes pointers and sizes of live slices, which the host only reads, or pointers to locals, which it
/// only writes.
pub fn log(level: Level, message: &str) {
    // A log line that can't be written has nowhere to be reported.
    let _ = unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// Whether a line of this level would be written; yes where the host does not say.
pub fn logs(level: Level) -> bool {
    let mut least = 0;
    let told = done(unsafe { proxy_get_log_level(&raw mut least) });
    told.is_err() || level as u32 >= least
}

/// The host's clock; the end of time should it have none, at which every token has expired.
pub fn now() -> UnixTime {
    UnixTime::new(milliseconds().map_or(u64::MAX, |milliseconds| milliseconds / 1000))
}

/// The same in milliseconds since 1970, for how long things take.
pub fn milliseconds() -> Result<u64, Refused> {
    let mut nanoseconds = 0;
    done(unsafe { proxy_get_current_time_nanoseconds(&raw mut nanoseconds) }).map(|()| nanoseconds / 1_000_000)
}

pub fn set_tick_period(milliseconds: u32) -> Result<(), Refused> {
    done(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

/// At most `max` octets from the beginning of a buffer.
pub fn buffer(kind: Buffer, max: usize) -> Result<Option<Vec<u8>>, Refused> {
    taking(|data, size| unsafe { proxy_get_buffer_bytes(kind as u32, 0, max, data, size) })
}

/// All fields of a map, as the host's pairs.
pub fn pairs(map: Map) -> Result<Option<Vec<u8>>, Refused> {
    taking(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })
}

/// Removes every field of this name.
pub fn remove(map: Map, name: &[u8]) -> Result<(), Refused> {
    done(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Adds a field beside those that are there.
pub fn add(map: Map, name: &str, value: &str) -> Result<(), Refused> {
    done(unsafe { proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// A property by its path, the pieces of which a NUL parts; none where the host has none.
pub fn property(path: &str) -> Result<Option<Vec<u8>>, Refused> {
    taking(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Filter state under `wasm.` and this name, for the time of the request.
pub fn set_filter_state(name: &str, value: &str) -> Result<(), Refused> {
    done(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Lets a request that waits go on.
pub fn continue_request() -> Result<(), Refused> {
    done(unsafe { proxy_continue_stream(REQUEST) })
}

/// Answers a request; `details` are what the access log calls `RESPONSE_CODE_DETAILS`.
pub fn local_response(status: u16, details: &str, headers: &[(&str, String)], body: &str) -> Result<(), Refused> {
    const FROM_STATUS: i32 = -1;
    let headers = write_pairs(headers);
    done(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            FROM_STATUS,
        )
    })
}

/// A value that all VMs of this `vm_id` share, and the number of its last write; none where there never was one.
pub fn shared_data(name: &str) -> Result<Option<(Vec<u8>, u32)>, Refused> {
    let mut number = 0;
    let value =
        taking(|data, size| unsafe { proxy_get_shared_data(name.as_ptr(), name.len(), data, size, &raw mut number) })?;
    Ok(value.map(|value| (value, number)))
}

/// Writes such a value if its number is still this one, or if there is none. Whether it did.
pub fn set_shared_data(name: &str, value: &[u8], number: u32) -> Result<bool, Refused> {
    match unsafe { proxy_set_shared_data(name.as_ptr(), name.len(), value.as_ptr(), value.len(), number) } {
        CAS_MISMATCH => Ok(false),
        status => done(status).map(|()| true),
    }
}

/// Makes another context the one that calls are about. Refused when it has gone; the old one stays then.
pub fn set_effective_context(context: u32) -> Result<(), Refused> {
    done(unsafe { proxy_set_effective_context(context) })
}

pub fn define_metric(kind: Metric, name: &str) -> Result<u32, Refused> {
    let mut id = 0;
    done(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) }).map(|()| id)
}

/// By less than nothing only where it is a gauge, by nothing never.
pub fn increment_metric(id: u32, by: i64) -> Result<(), Refused> {
    done(unsafe { proxy_increment_metric(id, by) })
}

/// What a counter or gauge shows, of all workers.
pub fn metric(id: u32) -> Result<u64, Refused> {
    let mut value = 0;
    done(unsafe { proxy_get_metric(id, &raw mut value) }).map(|()| value)
}

pub fn record_metric(id: u32, value: u64) -> Result<(), Refused> {
    done(unsafe { proxy_record_metric(id, value) })
}

/// Sends a request to a cluster; the answer comes under the number that this returns. `timeout` is in milliseconds.
pub fn http_call(cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout: u32) -> Result<u32, Refused> {
    let (headers, trailers) = (write_pairs(headers), write_pairs::<&str, &str>(&[]));
    let mut token = 0;
    done(unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout,
            &raw mut token,
        )
    })
    .map(|()| token)
}

/// Fills this with octets that nobody can foretell.
pub fn random(octets: &mut [u8]) -> Result<(), Refused> {
    done(unsafe { random_get(octets.as_mut_ptr(), octets.len()) })
}

/// What one of the host's own functions returns; none where it has no such function, or has nothing to return.
pub fn foreign_function(name: &str, argument: &[u8]) -> Result<Option<Vec<u8>>, Refused> {
    taking(|data, size| unsafe {
        proxy_call_foreign_function(name.as_ptr(), name.len(), argument.as_ptr(), argument.len(), data, size)
    })
}
