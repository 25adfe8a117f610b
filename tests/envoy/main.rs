//! The filter in a real Envoy: what a request gets, and what reaches the service behind it.

mod answers;
mod bad_inputs;
mod certificates;
mod configuration;
mod examples;
mod faults;
mod identity;
mod keys;
mod paths;
mod stage;
