//! Signatures in the plug-in's configuration into verdicts in the log, by the proxy and in Rust: how the tests try both where
//! both run. Only the feature `vectors` has it, in the place of the filter.
//!
//! A line of the configuration is the name of an algorithm, a public key as a JWK, and then messages and signatures with a dot
//! between them, in base64url. For each line, one is logged that repeats its number: a digit for each signature, 1 where it is
//! accepted.

use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::json::{self, Limits};
use crate::jose::jwk::Jwk;
use crate::jose::verifier::{InRust, Verifier};

use super::abi::{self, Buffer, Level};
use super::crypto::ByHost;

/// Reads the plug-in's configuration, of so many octets; false where it can't be read.
pub fn configure(size: usize) -> bool {
    let octets = abi::buffer(Buffer::PluginConfiguration, size).ok().flatten().unwrap_or_default();
    let Ok(text) = String::from_utf8(octets) else { return false };
    text.lines().enumerate().all(|(number, line)| say_verdicts(number, line).is_some())
}

/// None where the line can't be read.
fn say_verdicts(number: usize, line: &str) -> Option<()> {
    let mut words = line.split(' ');
    let algorithm = Algorithm::parse(words.next()?)?;
    let key = Jwk::parse(&json::parse(words.next()?.as_bytes(), Limits::TOKEN).ok()?).ok()?.key;
    let (mut by_host, mut in_rust) = (String::new(), String::new());
    for word in words {
        let (message, signature) = word.split_once('.')?;
        let (message, signature) = (base64url::decode(message).ok()?, base64url::decode(signature).ok()?);
        let verdict = |verifier: &dyn Verifier| match verifier.verify(&key, algorithm, &message, &signature) {
            true => '1',
            false => '0',
        };
        by_host.push(verdict(&ByHost));
        in_rust.push(verdict(&InRust));
    }
    abi::log(Level::Info, &format!("holdfast: verdicts {number} {algorithm} {by_host} {in_rust} end"));
    Some(())
}
