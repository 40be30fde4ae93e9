//! A new migration file rebuilds the crate: `sqlx::migrate!` alone only notices changes to the files it knew.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
