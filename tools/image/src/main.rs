//! Turns the module as it is shipped into what is published: an image, the bill of its materials, and the sums of all that.
//!
//! `image TARGET` reads the module below cargo's folder TARGET, writes `TARGET/image` (an OCI image layout),
//! `TARGET/holdfast.cdx.json` and `TARGET/SHA256SUMS`, and prints the digest of the image. One commit gives the same octets
//! each time: no clock, no path and no name of this machine gets in.
#![deny(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod archive;
mod bill;
mod layout;
mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sha2::{Digest as _, Sha256};

use layout::Layout;
use sources::Sources;

/// Where the shipped module is, below the folder that everything is written to.
const MODULE: &str = "wasm32-wasip1/release/holdfast.wasm";
const LAYOUT: &str = "image";
const BILL: &str = "holdfast.cdx.json";
const SUMS: &str = "SHA256SUMS";

/// Files by their paths, with slashes.
type Files = BTreeMap<String, Vec<u8>>;

/// Why there is no image.
#[derive(Debug)]
enum Error {
    /// A file can't be read or written.
    File(PathBuf, io::Error),
    /// A program does not start, or ends with this on its standard error.
    Program(&'static str, String),
    /// A program or a file says something else than it is known to say.
    Unreadable(&'static str, String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Program(name, why) => write!(f, "{name} fails: {why}"),
            Self::Unreadable(what, why) => write!(f, "{what} can't be read: {why}"),
        }
    }
}

/// What is published of one module.
#[derive(Debug, PartialEq, Eq)]
struct Published {
    /// The image's, by which it is pinned.
    digest: String,
    files: Files,
}

fn publish(module: &[u8], sources: &Sources) -> Result<Published, Error> {
    let Layout { digest, files } = Layout::of(module, sources)?;
    let mut files: Files = files.into_iter().map(|(path, octets)| (format!("{LAYOUT}/{path}"), octets)).collect();
    let bill = bill::of(module, &digest, sources)?;
    files.insert(BILL.to_owned(), text(&bill));
    files.insert(SUMS.to_owned(), sums(module, &files).into_bytes());
    Ok(Published { digest, files })
}

/// As `sha256sum --check` reads them.
fn sums(module: &[u8], files: &Files) -> String {
    let files = files.iter().map(|(path, octets)| (path.as_str(), octets.as_slice()));
    files.chain([(MODULE, module)]).map(|(path, octets)| format!("{}  {path}\n", sha256(octets))).collect()
}

/// In hexadecimal.
fn sha256(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A document that people may want to read too.
fn text(document: &serde_json::Value) -> Vec<u8> {
    format!("{document:#}\n").into_bytes()
}

/// Replaces what an earlier run left; the sums last, so that they never speak of what is not there.
fn write(published: &Published, target: &Path) -> Result<(), Error> {
    let layout = target.join(LAYOUT);
    match std::fs::remove_dir_all(&layout) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::File(layout, error)),
        _ => {}
    }
    let sums = published.files.iter().filter(|(path, _)| *path == SUMS);
    let others = published.files.iter().filter(|(path, _)| *path != SUMS);
    others.chain(sums).try_for_each(|(path, octets)| write_file(&target.join(path), octets))
}

fn write_file(path: &Path, octets: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, octets))
        .map_err(|error| Error::File(path.to_owned(), error))
}

fn run(target: &Path) -> Result<String, Error> {
    let path = target.join(MODULE);
    let module = std::fs::read(&path).map_err(|error| Error::File(path, error))?;
    let sources = Sources::read()?;
    if sources.commit.is_none() {
        eprintln!(
            "image: NOT of a commit, so it names none: files were changed since, or git knows of no repository here"
        );
    }
    let published = publish(&module, &sources)?;
    write(&published, target)?;
    Ok(published.digest)
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [target] = arguments.as_slice() else {
        eprintln!("usage: image TARGET");
        return ExitCode::FAILURE;
    };
    match run(target.as_ref()) {
        Ok(digest) => {
            println!("{digest}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("image: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests;
