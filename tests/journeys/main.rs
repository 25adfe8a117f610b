//! Journeys through the core with a scripted authorization server: what a request and a token get, decision by decision.

mod cases;
mod clock;
mod dpop;
mod identity;
mod memory;
mod policies;
mod proof;
mod relays;
mod revocation;
mod servers;
mod tokens;
mod world;
