//! Route, token, sender and certificate into a permit (`configuration.md` §3, checklist §24).
