//! The shipping service.

fn main() -> std::process::ExitCode {
    chassis::run::<shipping::Shipping>()
}
