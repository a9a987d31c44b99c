//! The messages of `reactions!` are its interface: each mistake that a newcomer can make does not compile, and says what to do.
//!
//! Each file below `compile_fail/` is a whole participant with one mistake; beside it is what the compiler says of it.
//! `TRYBUILD=overwrite` writes that anew, to be reviewed.

#[test]
fn mistakes_do_not_compile() {
    let tests = trybuild::TestCases::new();
    tests.pass("tests/compile_fail/kept/sound.rs");
    tests.pass("tests/compile_fail/kept/whole_sound.rs");
    tests.compile_fail("tests/compile_fail/*.rs");
}
