//! The order service.

fn main() -> std::process::ExitCode {
    chassis::run::<order::Order>()
}
