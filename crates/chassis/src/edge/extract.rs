//! axum's extractors, refusing as a problem document.

use axum::{
    extract::{
        FromRequestParts,
        rejection::{PathRejection, QueryRejection},
    },
    http::StatusCode,
};

use super::Problem;

/// The parts of the path. What does not parse is not there: 404.
#[derive(FromRequestParts, Clone, Copy, Debug)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

/// The query. What does not parse: 400.
#[derive(FromRequestParts, Clone, Copy, Debug)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        tracing::debug!(%rejection, "a path that no id has");
        Self::of_status(StatusCode::NOT_FOUND).saying("There is nothing of that name.")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::of_status(StatusCode::BAD_REQUEST).saying(rejection.body_text())
    }
}
