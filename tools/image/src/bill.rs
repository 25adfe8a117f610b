//! Turns the sources of a module into the bill of its materials (CycloneDX 1.6).

use serde_json::{Map, Value, json};
use wasmparser::{KnownCustom, Parser, Payload};

use crate::sources::{Crate, Sources};
use crate::{Error, sha256};

/// The reference of the standard library, which cargo does not list.
const STD: &str = "rust-std";

/// Of this module, which the image of this digest holds.
pub fn of(module: &[u8], digest: &str, sources: &Sources) -> Result<Value, Error> {
    let compiler =
        compiler(module).ok_or_else(|| Error::Unreadable("the module", "no compiler is named in it".to_owned()))?;
    let components: Vec<Value> =
        sources.linked.iter().map(|linked| library(linked, sources)).chain([std(&compiler)]).collect();
    let mut metadata = json!({"component": subject(module, digest, sources.root())});
    if let (Some(members), Some(commit)) = (metadata.as_object_mut(), &sources.commit) {
        members.insert("timestamp".into(), json!(commit.date));
    }
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "components": components,
        "dependencies": dependencies(sources),
        "metadata": metadata,
        "specVersion": "1.6",
        "version": 1,
    }))
}

/// What the bill is of.
fn subject(module: &[u8], digest: &str, root: &Crate) -> Value {
    let purl = format!("pkg:oci/{}@{}", root.name, digest.replace(':', "%3A"));
    json!({
        "bom-ref": reference(root),
        "hashes": [{"alg": "SHA-256", "content": sha256(module)}],
        "licenses": [{"expression": root.licence}],
        "name": root.name,
        "purl": purl,
        "type": "application",
        "version": root.version,
    })
}

fn library(linked: &Crate, sources: &Sources) -> Value {
    let mut library = Map::from_iter([
        ("bom-ref".to_owned(), json!(reference(linked))),
        ("name".to_owned(), json!(linked.name)),
        ("purl".to_owned(), json!(reference(linked))),
        ("type".to_owned(), json!("library")),
        ("version".to_owned(), json!(linked.version)),
    ]);
    if let Some(checksum) = sources.checksums.get(&(linked.name.clone(), linked.version.clone())) {
        library.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": checksum}]));
    }
    if !linked.licence.is_empty() {
        library.insert("licenses".to_owned(), json!([{"expression": linked.licence}]));
    }
    if !linked.repository.is_empty() {
        library.insert("externalReferences".to_owned(), json!([{"type": "vcs", "url": linked.repository}]));
    }
    library.into()
}

/// It is linked into every module, together with its own crates and wasi-libc.
fn std(compiler: &str) -> Value {
    let version = compiler.split(' ').next().unwrap_or(compiler);
    json!({
        "bom-ref": STD,
        "description": format!("Rust's standard library for wasm32-wasip1 and what it brings along, of rustc {compiler}"),
        "externalReferences": [{"type": "vcs", "url": "https://github.com/rust-lang/rust"}],
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "name": "std",
        "purl": format!("pkg:generic/rust-std@{version}"),
        "type": "library",
        "version": version,
    })
}

fn dependencies(sources: &Sources) -> Vec<Value> {
    let entry = |(user, used): (&Crate, &std::collections::BTreeSet<Crate>)| {
        let mut used: Vec<String> = used.iter().map(reference).collect();
        if user == sources.root() {
            used.push(STD.to_owned());
        }
        json!({"dependsOn": used, "ref": reference(user)})
    };
    sources.uses.iter().map(entry).chain([json!({"ref": STD})]).collect()
}

/// A package URL; a plus sign in a version is a space to some who read it.
fn reference(named: &Crate) -> String {
    format!("pkg:cargo/{}@{}", named.name, named.version.replace('+', "%2B"))
}

/// The version of the compiler, as it left it in the section `producers`.
fn compiler(module: &[u8]) -> Option<String> {
    let section = Parser::new(0).parse_all(module).find_map(|payload| match payload {
        Ok(Payload::CustomSection(section)) => match section.as_known() {
            KnownCustom::Producers(producers) => Some(producers),
            _ => None,
        },
        _ => None,
    })?;
    let values = section.into_iter().flatten().flat_map(|field| field.values.into_iter().flatten());
    values.filter(|value| value.name == "rustc").map(|value| value.version.to_owned()).next()
}
