//! Starts portreeve.

fn main() {}
