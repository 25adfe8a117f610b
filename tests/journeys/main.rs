//! Journeys through the core with a scripted authorization server: what a request and a token get, decision by decision.

mod cases;
mod clients;
mod clock;
mod discovery;
mod dpop;
mod identity;
mod issuers;
mod memory;
mod policies;
mod proof;
mod protocols;
mod relays;
mod revocation;
mod servers;
mod tokens;
mod world;
