//! Turns bytes into signed objects and keys, as the JOSE standards (RFC 7515, 7517, 7518, 7638, 8037, 8725) write them; knows nothing about OAuth.

pub mod algorithm;
pub mod base64url;
mod der;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod known_answer;
mod rsa;
pub mod verifier;
