//! The filter in a real Envoy: what a request gets, and what reaches the service behind it.

mod answers;
mod bad_inputs;
mod certificates;
mod clients;
mod configuration;
mod conformance;
mod discovery;
mod dpop;
mod examples;
mod faults;
mod grpc;
mod identity;
mod issuers;
mod keys;
mod module;
mod observation;
mod paths;
mod promql;
mod protocols;
mod relays;
mod shipped;
#[path = "../vectors/signatures.rs"]
mod signatures;
mod stage;
mod transport;
mod verifiers;
mod versions;
