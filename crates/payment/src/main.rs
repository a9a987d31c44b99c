//! The payment service.

fn main() -> std::process::ExitCode {
    chassis::run::<payment::Payment>()
}
