//! `sqlx::migrate!` reads the directory when it is compiled, and cargo does not see a file that is new there.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
