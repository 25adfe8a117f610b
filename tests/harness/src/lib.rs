//! Starts what the tests and the demo need around the filter.
