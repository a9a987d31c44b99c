//! TBD

pub mod admin;
pub mod calls;
pub mod config;
pub mod edge;
pub mod shutdown;
pub mod telemetry;
