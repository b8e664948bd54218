//! The console: three files in the binary, and nothing from anywhere else.
//!
//! **Invariant:** the page contacts its own origin alone; the browser is told to allow nothing else.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// Path, type, content.
const FILES: [(&str, &str, &str); 9] = [
    ("/", "text/html; charset=utf-8", include_str!("../../console/index.html")),
    ("/console.css", "text/css; charset=utf-8", include_str!("../../console/console.css")),
    ("/js/main.js", SCRIPT, include_str!("../../console/js/main.js")),
    ("/js/api.js", SCRIPT, include_str!("../../console/js/api.js")),
    ("/js/dom.js", SCRIPT, include_str!("../../console/js/dom.js")),
    ("/js/overview.js", SCRIPT, include_str!("../../console/js/overview.js")),
    ("/js/room.js", SCRIPT, include_str!("../../console/js/room.js")),
    ("/js/respond.js", SCRIPT, include_str!("../../console/js/respond.js")),
    ("/js/wallet.js", SCRIPT, include_str!("../../console/js/wallet.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What the page may do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The files.
pub(crate) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        let file = move || async move {
            ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], content).into_response()
        };
        router.route(path, get(file))
    })
}

/// Has a browser be careful with an answer, whatever it is.
pub(crate) async fn careful(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
