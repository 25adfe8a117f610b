//! What goes wrong around the filter and in it: nothing is let through for that, and all is well again soon after.

use std::time::{Duration, Instant};

use harness::wait_until;

mod away;
mod bounds;
mod clock;
mod herd;
mod replaced;
mod server;
mod trap;

/// The longest recovery that is promised; nothing but the distance of retries is in it.
const PROMISED: Duration = Duration::from_secs(5);

/// Waits until it is well again, which is soon after `since`.
fn recovers(from: &str, since: Instant, is_well: impl FnMut() -> bool) {
    assert!(wait_until(Duration::from_secs(30), is_well), "no recovery from: {from}");
    let took = since.elapsed();
    println!("recovery: {:.2} s, {from}", took.as_secs_f32());
    assert!(took <= PROMISED, "{from}: {took:?}");
}
