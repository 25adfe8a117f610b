//! Holdfast: a proxy-wasm filter that lets a request through only when its access token is genuine and belongs to this caller.
#![deny(unsafe_code)]

pub mod jose;
