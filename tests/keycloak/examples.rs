//! What we tell operators to write for Keycloak, run with Keycloak.
