//! The filter in a real Envoy: what a request gets, and what reaches the service behind it.

mod answers;
