//! Turns the module into an image as a folder (OCI Image Format 1.1), in the one form that every fetcher of modules takes: the
//! last layer is a tar, compressed by gzip, with the module as `plugin.wasm`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::sources::Sources;
use crate::{Error, Files, archive, sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image in its folder.
pub struct Layout {
    /// Of the manifest, which is the image's.
    pub digest: String,
    pub files: Files,
}

impl Layout {
    pub fn of(module: &[u8], sources: &Sources) -> Result<Self, Error> {
        let labels = labels(sources);
        let mut layout = Self { digest: String::new(), files: Files::new() };
        let archive = archive::tar("plugin.wasm", module);
        let layer = archive::gzip(&archive).map_err(|error| Error::File("plugin.wasm".into(), error))?;
        let config = layout.blob(CONFIG, octets(&config(&labels, &digest(&archive))));
        let layer = layout.blob(LAYER, layer);
        let manifest = json!({
            "annotations": labels,
            "config": config,
            "layers": [layer],
            "mediaType": MANIFEST,
            "schemaVersion": 2,
        });
        let manifest = octets(&manifest);
        layout.digest = digest(&manifest);
        let mut manifest = layout.blob(MANIFEST, manifest);
        if let Some(descriptor) = manifest.as_object_mut() {
            descriptor.insert(
                "annotations".into(),
                json!({"org.opencontainers.image.ref.name": sources.root().version.as_str()}),
            );
        }
        let index = json!({"manifests": [manifest], "mediaType": INDEX, "schemaVersion": 2});
        layout.files.insert("index.json".into(), octets(&index));
        layout.files.insert("oci-layout".into(), octets(&json!({"imageLayoutVersion": "1.0.0"})));
        Ok(layout)
    }

    /// Puts a blob in its place and returns what describes it.
    fn blob(&mut self, kind: &str, octets: Vec<u8>) -> Value {
        let descriptor = json!({"digest": digest(&octets), "mediaType": kind, "size": octets.len()});
        self.files.insert(format!("blobs/sha256/{}", sha256(&octets)), octets);
        descriptor
    }
}

fn digest(octets: &[u8]) -> String {
    format!("sha256:{}", sha256(octets))
}

fn octets(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// What the image says of itself, in its configuration and in its manifest.
fn labels(sources: &Sources) -> BTreeMap<&'static str, &str> {
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.licenses", sources.root().licence.as_str()),
        ("org.opencontainers.image.title", sources.root().name.as_str()),
        ("org.opencontainers.image.version", sources.root().version.as_str()),
    ]);
    if let Some(commit) = &sources.commit {
        labels.insert("org.opencontainers.image.created", &commit.date);
        labels.insert("org.opencontainers.image.revision", &commit.revision);
    }
    labels
}

fn config(labels: &BTreeMap<&'static str, &str>, archive: &str) -> Value {
    let mut config = json!({
        "architecture": "wasm",
        "config": {"Labels": labels},
        "os": "wasip1",
        "rootfs": {"diff_ids": [archive], "type": "layers"},
    });
    if let (Some(members), Some(created)) = (config.as_object_mut(), labels.get("org.opencontainers.image.created")) {
        members.insert("created".into(), json!(created));
    }
    config
}
