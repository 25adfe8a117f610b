//! The filter beside a real Keycloak: what its tokens, its keys and its answers come to (`make test-keycloak`).

mod binding;
mod clients;
mod examples;
mod introspection;
mod keys;
mod revocation;
mod roles;
mod stage;
