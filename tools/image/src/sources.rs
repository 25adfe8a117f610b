//! Turns what cargo and git say into the sources of the module: the crates that are linked into it, and the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::Error;

/// Where a module comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The filter's own crate.
    root: Crate,
    /// The others, in the order of their names.
    pub linked: BTreeSet<Crate>,
    /// Which crate uses which others.
    pub uses: BTreeMap<Crate, BTreeSet<Crate>>,
    /// SHA-256 of each crate's file, by name and version, in hexadecimal.
    pub checksums: BTreeMap<(String, String), String>,
    /// None where files have been changed since, or where there is no repository.
    pub commit: Option<Commit>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    pub name: String,
    pub version: String,
    /// An expression of SPDX; empty where the crate names a file instead.
    pub licence: String,
    /// Empty where it is not told.
    pub repository: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub revision: String,
    /// When it was made: RFC 3339, in UTC.
    pub date: String,
}

impl Sources {
    /// Of this repository, as it is now.
    pub fn read() -> Result<Self, Error> {
        let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let lock = top.join("Cargo.lock");
        let lock = std::fs::read_to_string(&lock).map_err(|error| Error::File(lock, error))?;
        Self::of(&tree(top)?, &lock, Commit::read(top))
    }

    pub fn of(tree: &str, lock: &str, commit: Option<Commit>) -> Result<Self, Error> {
        let mut uses = BTreeMap::<Crate, BTreeSet<Crate>>::new();
        // The crates from the root to the line before.
        let mut path = Vec::<Crate>::new();
        for line in tree.lines() {
            let (depth, found) = read_line(line).ok_or_else(|| Error::Unreadable("cargo tree", line.to_owned()))?;
            path.truncate(depth);
            if let Some(user) = path.last() {
                uses.entry(user.clone()).or_default().insert(found.clone());
            }
            uses.entry(found.clone()).or_default();
            path.push(found);
        }
        let root = path.into_iter().next().ok_or_else(|| Error::Unreadable("cargo tree", "it is empty".to_owned()))?;
        let linked = uses.keys().filter(|found| **found != root).cloned().collect();
        Ok(Self { root, linked, uses, checksums: checksums(lock), commit })
    }

    pub fn root(&self) -> &Crate {
        &self.root
    }
}

/// What is linked, one line for each use: its depth, then the fields between tabulators.
fn tree(top: &Path) -> Result<String, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "tree",
            "--locked",
            "--package",
            "holdfast",
            "--target",
            "wasm32-wasip1",
            "--edges",
            "normal,no-proc-macro",
        ])
        .args(["--prefix", "depth", "--no-dedupe", "--format", "\t{p}\t{l}\t{r}"]);
    output("cargo tree", command.current_dir(top))
}

fn output(name: &'static str, command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(|error| Error::Program(name, error.to_string()))?;
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(Error::Program(name, text(&output.stderr))) }
}

/// `2⇥sha2 v0.11.1⇥MIT OR Apache-2.0⇥https://…`; a path follows the version of a crate of this repository.
fn read_line(line: &str) -> Option<(usize, Crate)> {
    let mut fields = line.split('\t');
    let depth = fields.next()?.parse().ok()?;
    let mut package = fields.next()?.split(' ');
    let name = package.next()?.to_owned();
    let version = package.next()?.strip_prefix('v')?.to_owned();
    // Crates of before 2018 write a slash.
    let licence = fields.next()?.replace('/', " OR ");
    let repository = fields.next()?.to_owned();
    Some((depth, Crate { name, version, licence, repository }))
}

fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        line.and_then(|line| line.strip_suffix('"')).map(str::to_owned)
    };
    let read =
        |package: &str| Some(((value(package, "name")?, value(package, "version")?), value(package, "checksum")?));
    lock.split("[[package]]").filter_map(read).collect()
}

impl Commit {
    fn read(top: &Path) -> Option<Self> {
        let git = |arguments: &[&str]| {
            output("git", Command::new("git").args(arguments).env("TZ", "UTC").current_dir(top)).ok()
        };
        let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
        if !changed.is_empty() {
            return None;
        }
        let revision = git(&["rev-parse", "HEAD"])?;
        let date = git(&["show", "--no-patch", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd", "HEAD"])?;
        Some(Self { revision, date })
    }
}
