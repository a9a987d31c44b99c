//! The API's document: what the routes say of themselves, and what is true of every one of them.

use axum::{
    Router,
    http::{HeaderValue, header},
};
use serde_json::json;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, RefOr, ResponseBuilder, Schema,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
    schema::{ObjectBuilder, Type},
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::config::About;

/// The page at `/docs` brings its own scripts and styles, and asks nobody else.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'",
);

/// The routes, with `/openapi.json` and the page that shows it at `/docs`.
pub(super) fn described(about: &About, routes: OpenApiRouter) -> Router {
    let (router, mut document) = routes.split_for_parts();
    complete(about, &mut document);
    let docs = SwaggerUi::new("/docs").url("/openapi.json", document).config(Config::default().validator_url("none"));
    let policy = SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
    router.merge(Router::from(docs).layer(policy))
}

/// Adds what no route says: who this is, the key of each mutation, and that every error is a problem document.
fn complete(about: &About, document: &mut OpenApi) {
    document.info = InfoBuilder::new().title(about.service).description(Some(about.does)).version(about.version).build();
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert("Problem".to_owned(), problem_schema());
    for item in document.paths.paths.values_mut() {
        let PathItem { get, put, post, delete, patch, .. } = item;
        for operation in [post.as_mut(), patch.as_mut()].into_iter().flatten() {
            add_parameter(operation, idempotency_key(true));
        }
        for operation in [put.as_mut(), delete.as_mut()].into_iter().flatten() {
            add_parameter(operation, idempotency_key(false));
        }
        for operation in [get, put, post, delete, patch].into_iter().flatten() {
            let problem = ResponseBuilder::new().description("A problem document (RFC 9457)").content(
                "application/problem+json",
                ContentBuilder::new().schema(Some(utoipa::openapi::Ref::from_schema_name("Problem"))).build(),
            );
            operation.responses.responses.entry("default".to_owned()).or_insert_with(|| RefOr::T(problem.build()));
        }
    }
}

fn add_parameter(operation: &mut Operation, parameter: Parameter) {
    operation.parameters.get_or_insert_with(Vec::new).push(parameter.into());
}

fn idempotency_key(required: bool) -> Parameter {
    let quoted = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^"[\x21-\x7e]{1,255}"$"#)).build();
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(if required { utoipa::openapi::Required::True } else { utoipa::openapi::Required::False })
        .description(Some("A quoted string of your choice. The same request under the same key takes effect once."))
        .example(Some(json!("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"")))
        .schema(Some(quoted))
        .build()
}

/// For the document alone: the answers are made by `problem`.
fn problem_schema() -> RefOr<Schema> {
    serde_json::from_value(json!({
        "type": "object",
        "description": "Why a request failed (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "The page that explains it."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string", "format": "uri-reference", "description": "What was asked for."},
            "trace_id": {"type": "string", "description": "Finds what happened in logs and traces."},
            "errors": {
                "type": "array",
                "description": "Every field at fault.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail"],
                    "properties": {
                        "pointer": {"type": "string", "description": "RFC 6901."},
                        "detail": {"type": "string"}
                    }
                }
            }
        }
    }))
    .expect("a schema that is written here")
}
