//! The files that a browser may keep: style sheets, one script, icons and fonts, compiled in.
//!
//! Invariant: the path holds a SHA-256 over every name and byte below, so what is served under one path
//! never changes and `immutable` is true. Nothing else that Bailiwick serves may be cached.

use std::io::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($media_type:literal: $($name:literal)+;)+) => {
        &[$($(Asset {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../assets/", $name)),
        }),+),+]
    };
}

const ASSETS: &[Asset] = assets! {
    "text/css; charset=utf-8": "uswds.css" "app.css";
    "text/javascript; charset=utf-8": "ui.js" "security-key.js";
    "image/svg+xml":
        "logo.svg" "favicon.svg"
        "img/checkbox-indeterminate-alt.svg" "img/checkbox-indeterminate.svg"
        "img/correct8-alt.svg" "img/correct8.svg" "img/usa-icons-bg/error--white.svg"
        "img/usa-icons/arrow_back.svg" "img/usa-icons/check_circle.svg" "img/usa-icons/error.svg"
        "img/usa-icons/info.svg" "img/usa-icons/navigate_next.svg" "img/usa-icons/unfold_more.svg"
        "img/usa-icons/warning.svg";
    "font/woff2":
        "fonts/public-sans/PublicSans-Regular.woff2" "fonts/public-sans/PublicSans-Italic.woff2"
        "fonts/public-sans/PublicSans-Bold.woff2" "fonts/public-sans/PublicSans-BoldItalic.woff2";
};

static BASE: LazyLock<String> = LazyLock::new(|| {
    let parts: Vec<&[u8]> = ASSETS
        .iter()
        .flat_map(|asset| [asset.name.as_bytes(), b"\0".as_slice(), asset.bytes, b"\0".as_slice()])
        .collect();
    format!("/s/{}", hex::encode(keys::digest::sha256_parts(&parts)))
});

/// The compressed form of each asset that gains by it, in the order of `ASSETS`; made on first use.
static COMPRESSED: LazyLock<Vec<Option<Vec<u8>>>> =
    LazyLock::new(|| ASSETS.iter().map(compress).collect());

fn compress(asset: &Asset) -> Option<Vec<u8>> {
    if asset.media_type == "font/woff2" {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(asset.bytes).ok()?;
    encoder.finish().ok().filter(|packed| packed.len() < asset.bytes.len())
}

/// Where a page finds an asset, such as `/s/6e30…/app.css` for `app.css`.
pub fn path(name: &str) -> String {
    debug_assert!(ASSETS.iter().any(|asset| asset.name == name), "no asset `{name}`");
    format!("{}/{name}", *BASE)
}

/// Serves the assets. Unknown names and the paths of other releases are 404.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/s/{digest}/{*name}", get(serve))
}

async fn serve(Path((digest, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let current = BASE.strip_prefix("/s/") == Some(digest.as_str());
    let found = ASSETS.iter().zip(COMPRESSED.iter()).find(|(asset, _)| asset.name == name);
    let Some((asset, packed)) = found.filter(|_| current) else {
        return (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")]).into_response();
    };
    let common = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "accept-encoding"),
    ];
    match packed {
        Some(packed) if takes_gzip(&headers) => {
            (common, [(header::CONTENT_ENCODING, "gzip")], packed.as_slice()).into_response()
        }
        _ => (common, asset.bytes).into_response(),
    }
}

/// RFC 9110 §12.5.3, as far as browsers use it: `gzip` is named and not with `q=0`.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|text| text.to_str().ok());
    values.flat_map(|text| text.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use std::collections::BTreeSet;
    use std::io::Read;
    use tower::ServiceExt;

    async fn get(path: &str, encoding: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::get(path).header("accept-encoding", encoding).body(Body::empty());
        let answer = router::<()>().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn an_asset_is_immutable_under_its_digest_and_absent_under_any_other() {
        let (status, headers, plain) = get(&path("app.css"), "br").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(headers["content-type"], "text/css; charset=utf-8");
        assert_eq!(plain, include_bytes!("../assets/app.css"));

        let (_, headers, packed) = get(&path("app.css"), "br, gzip").await;
        assert_eq!(headers["content-encoding"], "gzip");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        assert!(!get(&path("app.css"), "gzip;q=0").await.1.contains_key("content-encoding"));

        for wrong in ["/s/0/app.css".to_owned(), format!("{}/../Cargo.toml", *BASE)] {
            let (status, headers, _) = get(&wrong, "gzip").await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{wrong}");
            assert_eq!(headers["cache-control"], "no-store", "{wrong}");
        }
    }

    #[test]
    fn every_file_that_a_style_sheet_names_is_served() {
        let names: BTreeSet<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        assert_eq!(names.len(), ASSETS.len(), "a name occurs twice");
        for asset in ASSETS.iter().filter(|asset| asset.name.ends_with(".css")) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let named = text.split("url(").skip(1).filter_map(|rest| rest.split(')').next());
            for file in named.map(|file| file.trim_matches('"')).filter(|file| !file.is_empty()) {
                assert!(names.contains(file), "{} names {file}", asset.name);
            }
        }
    }

    #[test]
    fn what_a_browser_fetches_first_stays_small() {
        let size = |name: &str| {
            let place = ASSETS.iter().position(|asset| asset.name == name).unwrap();
            COMPRESSED[place].as_ref().unwrap().len()
        };
        assert!(size("ui.js") <= 4096, "ui.js is {} bytes", size("ui.js"));
        assert!(size("app.css") <= 8192, "app.css is {} bytes", size("app.css"));
        assert!(size("uswds.css") <= 9216, "uswds.css is {} bytes", size("uswds.css"));
    }
}
