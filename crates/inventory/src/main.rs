//! The inventory service.

fn main() -> std::process::ExitCode {
    chassis::run::<inventory::Inventory>()
}
